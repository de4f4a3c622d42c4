import psycopg
from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.module_loading import autodiscover_modules

from ops.sql.intervals import AnyInterval


class OpsConfig(AppConfig):
    name = "ops"
    verbose_name = "Operations"

    def ready(self) -> None:
        autodiscover_modules("operations")
        from ops.permissions import create_permissions  # models are there only now

        psycopg.adapters.register_loader("interval", AnyInterval)
        post_migrate.connect(create_permissions, sender=self)
