"""The configurations of the project's application and of the admin."""

import sys

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps
from django.db.backends.signals import connection_created

# PostgreSQL's numeric, and so JSON, allows this many digits before the point; Python's default is 4,300.
_MAX_INT_DIGITS = 131_072


class KyndoConfig(AppConfig):
    name = "kyndo"
    default = True

    def ready(self) -> None:
        sys.set_int_max_str_digits(_MAX_INT_DIGITS)
        from kyndo.schema import check_schema

        connection_created.connect(check_schema)


class AdminConfig(admin_apps.AdminConfig):
    default = False
    default_site = "kyndo.admin_site.AdminSite"
