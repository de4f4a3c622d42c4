"""The two ways to use a merge: look at what it would do, or do it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from django.db import DatabaseError, OperationalError, connection, transaction

from ops.db import canonical_output, read_only_snapshot
from ops.exceptions import OpsError
from ops.formatting import truncate
from ops.sql.changes import AuditContext
from ops.sql.upsert import Upsert
from ops.sqlstates import RETRYABLE, is_row_or_limit_error, sqlstate

# Below PostgreSQL's deadlock_timeout of 1 s, so that in a deadlock it is the merge that gives way.
LOCK_TIMEOUT = timedelta(milliseconds=800)
MAX_ATTEMPTS = 8
_MAX_LINE_LENGTH = 300
T = TypeVar("T")
ContextFactory = Callable[[], AbstractContextManager[object]]


class LoadRejected(OpsError):
    """The database refused the merge; nothing of it was kept."""


class LoadBlocked(OpsError):
    """Somebody else held rows of the table all the while; nothing was changed."""


@dataclass(frozen=True)
class UpdateContext:
    """Rows that give a field leave nothing of it to a trigger: they are changed within ``context``."""

    field: str
    context: ContextFactory


@dataclass(frozen=True)
class LoadCounts:
    created: int
    changed: int
    unchanged: int


@dataclass(frozen=True)
class LoadPreview:
    """What a merge would do now, with samples of ``(key, changes)``."""

    counts: LoadCounts
    created: list[tuple[str, dict[str, Any]]]
    changed: list[tuple[str, dict[str, Any]]]


def preview(merge: Upsert, samples: int = 5) -> LoadPreview:
    """Raises ``Refused`` where the database could not even say what would change."""
    with translate_data_errors(), read_only_snapshot():
        created, changed = merge.count()
        counts = LoadCounts(created, changed, merge.staging.total - created - changed)
        return LoadPreview(
            counts,
            merge.sample_created(samples) if created else [],
            merge.sample_changed(samples) if changed else [],
        )


def execute(
    merge: Upsert,
    signature: AuditContext,
    *,
    change: bool = True,
    creating: ContextFactory = nullcontext,
    settled: UpdateContext | None = None,
    then: Callable[[], object] = int,
) -> LoadCounts:
    """Merge in one transaction; raises what ``attempt`` does.

    Without ``change`` the rows that exist stay as they are; new rows are created within ``creating``, and
    those that ``settled`` speaks of are changed in its context. Where any was created or changed, ``then``
    is called in the same transaction.
    """

    def work() -> LoadCounts:
        counts = upsert_in_transaction(merge, signature, change=change, creating=creating, settled=settled)
        if counts.created or counts.changed:
            then()
        return counts

    return retry_on_lock(work, _blocked_message(merge))


def retry_on_lock(work: Callable[[], T], busy: str) -> T:
    """Work in one transaction, tried again where it met the lock of somebody else.

    Raises ``Busy`` with those words when that somebody does not let go, and ``Refused`` for bad rows.
    """
    for number in range(1, MAX_ATTEMPTS + 1):
        try:
            with translate_data_errors(), canonical_output():
                return work()
        except OperationalError as exc:
            if sqlstate(exc) not in RETRYABLE:
                raise
            if number == MAX_ATTEMPTS:
                raise LoadBlocked(busy) from exc
            time.sleep(random.uniform(0.05, 0.2) * number)  # noqa: S311
    raise AssertionError("unreachable")


@contextmanager
def translate_data_errors() -> Iterator[None]:
    """Raises ``Refused`` where the database refuses the data."""
    try:
        yield
    except DatabaseError as exc:
        if not is_row_or_limit_error(exc):
            raise
        told = "\n".join(truncate(line, _MAX_LINE_LENGTH) for line in str(exc).splitlines())
        raise LoadRejected(f"The database refused the load: {told}") from exc


# Note [Why the merge looks again]
# Under READ COMMITTED each statement sees what was committed when it began. A row that somebody inserts
# while our INSERT runs is met by our UPDATE, which begins after it; one that somebody deletes before our
# UPDATE is missed by both. So the merge asks what is missing, and goes round again. REPEATABLE READ would
# need no second look, but would give up whenever a player touches any of the rows meanwhile.


def upsert_in_transaction(
    merge: Upsert,
    signature: AuditContext,
    *,
    change: bool = True,
    creating: ContextFactory = nullcontext,
    settled: UpdateContext | None = None,
) -> LoadCounts:
    """As ``execute``, in a transaction of the caller's."""
    acquire_load_lock(merge)
    created = changed = 0
    while True:
        # The savepoint leaves a transaction in which what surrounds it can still end after an error.
        with creating(), transaction.atomic():
            created += merge.insert(signature)
        if change and created < merge.staging.total:
            changed += _update_rows(merge, signature, settled)
        if created == merge.staging.total or not merge.missing():
            break
    check_constraints()
    return LoadCounts(created, changed, merge.staging.total - created - changed)


def _update_rows(merge: Upsert, signature: AuditContext, settled: UpdateContext | None) -> int:
    if settled is None or settled.field not in {field.name for field in merge.staging.given}:
        return merge.update(signature)
    with settled.context(), transaction.atomic():
        changed = merge.update(signature, giving=settled.field)
    return changed + merge.update(signature, lacking=settled.field)


def check_constraints() -> None:
    """Now, rather than when the transaction commits."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def acquire_load_lock(merge: Upsert) -> None:
    """Merges into one table go one after another: side by side they would lock each other's rows."""
    table = merge.staging.model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"merge into {table}"])
        timeout = f"{LOCK_TIMEOUT // timedelta(milliseconds=1)}ms"
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [timeout])


def _blocked_message(merge: Upsert) -> str:
    table = merge.staging.model._meta.db_table
    return (
        f"Nothing was changed: others hold rows of {table} that the load needs. Try again when they let go."
    )
