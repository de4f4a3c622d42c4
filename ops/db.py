"""Settings of a transaction, as context managers named after what they promise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import connection, transaction

from ops.models import Run


@contextmanager
def read_only() -> Iterator[None]:
    """One snapshot in which the database refuses every write."""
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


@contextmanager
def batch_transaction(run: Run, lock_timeout: timedelta) -> Iterator[None]:
    """A short transaction that tells pg_stat_activity whose it is and finds broken constraints at once.

    Django's foreign keys are deferred: without IMMEDIATE they would fail at COMMIT, when it is too late to
    say which rows were at fault.
    """
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('application_name', %s, true), set_config('lock_timeout', %s, true);"
                "SET CONSTRAINTS ALL IMMEDIATE",
                [f"kyndo run {run.pk}", f"{lock_timeout // timedelta(milliseconds=1)}ms"],
            )
        yield
