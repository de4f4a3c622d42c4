"""The configurations of the project's application and of the admin."""

import sys
from typing import Any

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps
from django.contrib.admin import autodiscover
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core.checks import CheckMessage, Tags, register
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


class AdminConfig(admin_apps.SimpleAdminConfig):
    """The admin, whose pages are imported by the site's URLs and by its checks: no command waits for them."""

    default = False
    default_site = "kyndo.admin_site.AdminSite"

    def ready(self) -> None:
        register(check_dependencies, Tags.admin)
        register(_check_admin, Tags.admin)


def _check_admin(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    autodiscover()
    return check_admin_app(app_configs, **kwargs)
