from django.apps import AppConfig


class KyndoConfig(AppConfig):
    name = "kyndo"
