"""Preview and execute an upsert of staged rows."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from django.db import DatabaseError, OperationalError, connection, transaction

from ops.db import canonical_output, read_only_snapshot, set_lock_timeout
from ops.exceptions import OpsError
from ops.formatting import truncate
from ops.sql.changes import AuditContext
from ops.sql.upsert import Upsert
from ops.sqlstates import RETRYABLE, is_row_or_limit_error, sqlstate

# Below PostgreSQL's deadlock_timeout of 1 s: in a deadlock, the load is cancelled, and not the player.
LOCK_TIMEOUT = timedelta(milliseconds=800)
MAX_ATTEMPTS = 8
_MAX_LINE_LENGTH = 300
T = TypeVar("T")
ContextFactory = Callable[[], AbstractContextManager[object]]


class LoadRejected(OpsError):
    """The database rejected the load; it was rolled back."""


class LoadBlocked(OpsError):
    """Other sessions held locks on the rows in every attempt; nothing was changed."""


@dataclass(frozen=True)
class UpdateContext:
    """A context manager in which the rows that give ``field`` are updated, as to disable a trigger."""

    field: str
    context: ContextFactory


@dataclass(frozen=True)
class LoadCounts:
    created: int
    changed: int
    unchanged: int


@dataclass(frozen=True)
class LoadPreview:
    """What a load would do now, with samples of ``(key, changes)``."""

    counts: LoadCounts
    created: list[tuple[str, dict[str, Any]]]
    changed: list[tuple[str, dict[str, Any]]]


def preview(upsert: Upsert, samples: int = 5) -> LoadPreview:
    """Count what a load would change. Raises ``LoadRejected`` where the rows cannot be compared."""
    with translate_data_errors(), read_only_snapshot():
        created, changed = upsert.count_changes()
        counts = LoadCounts(created, changed, upsert.staging.row_count - created - changed)
        return LoadPreview(
            counts,
            upsert.sample_created(samples) if created else [],
            upsert.sample_changed(samples) if changed else [],
        )


def execute(
    upsert: Upsert,
    audit: AuditContext,
    *,
    update: bool = True,
    insert_context: ContextFactory = nullcontext,
    update_context: UpdateContext | None = None,
    after_change: Callable[[], object] = int,
) -> LoadCounts:
    """Insert and update the staged rows in one transaction; raises what ``retry_on_lock`` does.

    Without ``update``, existing rows are not changed. New rows are inserted within ``insert_context``.
    ``after_change`` is called in the same transaction if a row was inserted or updated.
    """

    def work() -> LoadCounts:
        counts = upsert_in_transaction(
            upsert, audit, update=update, insert_context=insert_context, update_context=update_context
        )
        if counts.created or counts.changed:
            after_change()
        return counts

    return retry_on_lock(work, _blocked_message(upsert))


def retry_on_lock(work: Callable[[], T], blocked_message: str) -> T:
    """Call ``work`` in one transaction, up to MAX_ATTEMPTS times while another session's lock blocks it.

    Raises ``LoadBlocked(blocked_message)`` after the last attempt, and ``LoadRejected`` for bad rows.
    """
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            with translate_data_errors(), canonical_output():
                return work()
        except OperationalError as exc:
            if sqlstate(exc) not in RETRYABLE:
                raise
            if attempt == MAX_ATTEMPTS:
                raise LoadBlocked(blocked_message) from exc
            time.sleep(random.uniform(0.05, 0.2) * attempt)  # noqa: S311
    raise AssertionError("unreachable")


@contextmanager
def translate_data_errors() -> Iterator[None]:
    """Raise ``LoadRejected`` in place of the database's error about the data."""
    try:
        yield
    except DatabaseError as exc:
        if not is_row_or_limit_error(exc):
            raise
        reason = "\n".join(truncate(line, _MAX_LINE_LENGTH) for line in str(exc).splitlines())
        raise LoadRejected(f"The database refused the load: {reason}") from exc


# Note [Why a load repeats its INSERT]
# Under READ COMMITTED each statement sees what was committed when it began. A row that a player inserts while
# our INSERT runs is changed by our UPDATE, which begins later. A row that a player deletes before our UPDATE
# is missed by both. So the load checks for missing rows and repeats both statements. REPEATABLE READ would
# need no repetition, but would fail whenever a player changes one of the rows meanwhile.


def upsert_in_transaction(
    upsert: Upsert,
    audit: AuditContext,
    *,
    update: bool = True,
    insert_context: ContextFactory = nullcontext,
    update_context: UpdateContext | None = None,
) -> LoadCounts:
    """As ``execute``, within the caller's transaction."""
    acquire_load_lock(upsert)
    created = changed = 0
    while True:
        # After an error, the savepoint keeps the transaction usable for the exit of the context manager.
        with insert_context(), transaction.atomic():
            created += upsert.insert(audit)
        if update and created < upsert.staging.row_count:
            changed += _update_rows(upsert, audit, update_context)
        if created == upsert.staging.row_count or not upsert.has_missing_rows():
            break
    check_constraints()
    return LoadCounts(created, changed, upsert.staging.row_count - created - changed)


def _update_rows(upsert: Upsert, audit: AuditContext, update_context: UpdateContext | None) -> int:
    if update_context is None or update_context.field not in {
        field.name for field in upsert.staging.given_fields
    }:
        return upsert.update(audit)
    with update_context.context(), transaction.atomic():
        changed = upsert.update(audit, only_given=update_context.field)
    return changed + upsert.update(audit, only_missing=update_context.field)


def check_constraints() -> None:
    """Check deferred constraints now, not at COMMIT."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def acquire_load_lock(upsert: Upsert) -> None:
    """Take the advisory lock of loads into the table, and set lock_timeout, until the end of the transaction.

    Two loads at once would deadlock on each other's rows.
    """
    table = upsert.staging.model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"merge into {table}"])
    set_lock_timeout(LOCK_TIMEOUT)


def _blocked_message(upsert: Upsert) -> str:
    table = upsert.staging.model._meta.db_table
    return (
        f"Nothing was changed: other sessions have locked rows of {table} that the load needs."
        " Try again when they are done."
    )
