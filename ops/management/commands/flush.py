from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pgtrigger
from django.core.management.base import CommandError
from django.core.management.commands import flush
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.creation import TEST_DATABASE_PREFIX
from django.test.utils import _TestState

from ops.models import AuditLog


class Command(flush.Command):
    """Django's own, which would end in "TRUNCATE is refused": the audit log is append-only.

    It is what Django's test runner and pytest-django type after a TransactionTestCase, and there alone the
    audit log is emptied.
    """

    def handle(self, **options: Any) -> None:
        connection = connections[options["database"]]
        emptied: AbstractContextManager[None]
        if AuditLog._meta.db_table not in connection.introspection.table_names():
            emptied = nullcontext()
        elif _is_test_database(connection):
            emptied = pgtrigger.ignore("ops.AuditLog:no_truncate")
        else:
            raise CommandError(
                f"{AuditLog._meta.db_table} is append-only, so nothing was deleted. For an empty database,"
                f" make a new one: dropdb {connection.settings_dict['NAME']}, createdb, migrate"
            )
        with emptied:
            super().handle(**options)


def _is_test_database(connection: BaseDatabaseWrapper) -> bool:
    """Whether a test runner has set up its environment, and this is a database that it has made."""
    given = connection.settings_dict["TEST"].get("NAME")
    name = connection.settings_dict["NAME"]
    return hasattr(_TestState, "saved_data") and name.startswith(given or TEST_DATABASE_PREFIX)
