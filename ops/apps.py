from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.module_loading import autodiscover_modules


class OpsConfig(AppConfig):
    name = "ops"
    verbose_name = "Operations"

    def ready(self) -> None:
        autodiscover_modules("operations")
        from ops.permissions import create_permissions  # models are there only now

        post_migrate.connect(create_permissions, sender=self)
