from typing import Any

import psycopg
from django.apps import AppConfig
from django.core import checks
from django.db.models.signals import post_migrate

from ops import defaults
from ops.sql.intervals import AnyInterval


class OpsConfig(AppConfig):
    name = "ops"
    verbose_name = "Operations"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        defaults.give()  # before any module reads one

    def ready(self) -> None:
        from ops import registry, system_checks  # models are there only now
        from ops.permissions import create_permissions

        psycopg.adapters.register_loader("interval", AnyInterval)
        registry.discover()
        checks.register(system_checks.declarations, "operations")
        post_migrate.connect(create_permissions, sender=self)
