from typing import Any

import psycopg
from django.apps import AppConfig
from django.db.models.signals import post_migrate

from ops import defaults
from ops.sql.intervals import IntervalLoader


class OpsConfig(AppConfig):
    name = "ops"
    verbose_name = "Operations"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        defaults.apply_default_settings()  # before any module reads one

    def ready(self) -> None:
        from ops.checks import register_checks  # models are there only now
        from ops.operations import registry
        from ops.permissions import create_permissions

        psycopg.adapters.register_loader("interval", IntervalLoader)
        registry.autodiscover()
        register_checks()
        post_migrate.connect(create_permissions, sender=self)
