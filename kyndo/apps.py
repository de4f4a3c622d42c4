from django.apps import AppConfig
from django.db.backends.signals import connection_created


class KyndoConfig(AppConfig):
    name = "kyndo"

    def ready(self) -> None:
        from kyndo.schema import check_schema

        connection_created.connect(check_schema)
