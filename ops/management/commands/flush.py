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
    """Django's flush, refused outside of tests, since the audit log is append-only.

    Django's test runner and pytest-django call it after a TransactionTestCase; there it empties the audit log
    as well.
    """

    def handle(self, **options: Any) -> None:
        connection = connections[options["database"]]
        trigger_ignored: AbstractContextManager[None]
        if AuditLog._meta.db_table not in connection.introspection.table_names():
            trigger_ignored = nullcontext()
        elif _is_test_database(connection):
            trigger_ignored = pgtrigger.ignore("ops.AuditLog:no_truncate")
        else:
            raise CommandError(
                f"{AuditLog._meta.db_table} is append-only, so nothing was deleted. For an empty database,"
                f" make a new one: dropdb {connection.settings_dict['NAME']}, createdb, migrate"
            )
        with trigger_ignored:
            super().handle(**options)


def _is_test_database(connection: BaseDatabaseWrapper) -> bool:
    """Whether a test runner is set up, and the database is one that it created."""
    test_name = connection.settings_dict["TEST"].get("NAME")
    name = connection.settings_dict["NAME"]
    return hasattr(_TestState, "saved_data") and name.startswith(test_name or TEST_DATABASE_PREFIX)
