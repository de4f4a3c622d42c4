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

from ops import words
from ops.db import read_only, same_images
from ops.exceptions import OpsError
from ops.sql.merge import Merge, Signature
from ops.sqlstates import LOST_RACES, is_of_data, sqlstate

# Below PostgreSQL's deadlock_timeout of 1 s, so that in a deadlock it is the merge that gives way.
LOCK_TIMEOUT = timedelta(milliseconds=800)
ATTEMPTS = 8
_LONGEST_LINE = 300
T = TypeVar("T")
Creating = Callable[[], AbstractContextManager[object]]


class Refused(OpsError):
    """The database refused the merge; nothing of it was kept."""


class Busy(OpsError):
    """Somebody else held rows of the table all the while; nothing was changed."""


@dataclass(frozen=True)
class Settled:
    """Rows that give a field leave nothing of it to a trigger: they are changed within ``context``."""

    field: str
    context: Creating


@dataclass(frozen=True)
class Counts:
    created: int
    changed: int
    unchanged: int


@dataclass(frozen=True)
class Preview:
    """What a merge would do now, with samples of ``(key, changes)``."""

    counts: Counts
    created: list[tuple[str, dict[str, Any]]]
    changed: list[tuple[str, dict[str, Any]]]


def preview(merge: Merge, samples: int = 5) -> Preview:
    """Raises ``Refused`` where the database could not even say what would change."""
    with refusals(), read_only():
        created, changed = merge.count()
        counts = Counts(created, changed, merge.staging.total - created - changed)
        return Preview(
            counts,
            merge.sample_created(samples) if created else [],
            merge.sample_changed(samples) if changed else [],
        )


def execute(
    merge: Merge,
    signature: Signature,
    *,
    change: bool = True,
    creating: Creating = nullcontext,
    settled: Settled | None = None,
    then: Callable[[], object] = int,
) -> Counts:
    """Merge in one transaction; raises what ``attempt`` does.

    Without ``change`` the rows that exist stay as they are; new rows are created within ``creating``, and
    those that ``settled`` speaks of are changed in its context. Where any was created or changed, ``then``
    is called in the same transaction.
    """

    def work() -> Counts:
        counts = merge_within(merge, signature, change=change, creating=creating, settled=settled)
        if counts.created or counts.changed:
            then()
        return counts

    return attempt(work, _busy(merge))


def attempt(work: Callable[[], T], busy: str) -> T:
    """Work in one transaction, tried again where it met the lock of somebody else.

    Raises ``Busy`` with those words when that somebody does not let go, and ``Refused`` for bad rows.
    """
    for number in range(1, ATTEMPTS + 1):
        try:
            with refusals(), same_images():
                return work()
        except OperationalError as exc:
            if sqlstate(exc) not in LOST_RACES:
                raise
            if number == ATTEMPTS:
                raise Busy(busy) from exc
            time.sleep(random.uniform(0.05, 0.2) * number)  # noqa: S311
    raise AssertionError("unreachable")


@contextmanager
def refusals() -> Iterator[None]:
    """Raises ``Refused`` where the database refuses the data."""
    try:
        yield
    except DatabaseError as exc:
        if not is_of_data(exc):
            raise
        told = "\n".join(words.cut(line, _LONGEST_LINE) for line in str(exc).splitlines())
        raise Refused(f"The database refused the load: {told}") from exc


# Note [Why the merge looks again]
# Under READ COMMITTED each statement sees what was committed when it began. A row that somebody inserts
# while our INSERT runs is met by our UPDATE, which begins after it; one that somebody deletes before our
# UPDATE is missed by both. So the merge asks what is missing, and goes round again. REPEATABLE READ would
# need no second look, but would give up whenever a player touches any of the rows meanwhile.


def merge_within(
    merge: Merge,
    signature: Signature,
    *,
    change: bool = True,
    creating: Creating = nullcontext,
    settled: Settled | None = None,
) -> Counts:
    """As ``execute``, in a transaction of the caller's."""
    take_turn(merge)
    created = changed = 0
    while True:
        # The savepoint leaves a transaction in which what surrounds it can still end after an error.
        with creating(), transaction.atomic():
            created += merge.insert(signature)
        if change and created < merge.staging.total:
            changed += _update(merge, signature, settled)
        if created == merge.staging.total or not merge.missing():
            break
    check_constraints()
    return Counts(created, changed, merge.staging.total - created - changed)


def _update(merge: Merge, signature: Signature, settled: Settled | None) -> int:
    if settled is None or settled.field not in {field.name for field in merge.staging.given}:
        return merge.update(signature)
    with settled.context(), transaction.atomic():
        changed = merge.update(signature, giving=settled.field)
    return changed + merge.update(signature, lacking=settled.field)


def check_constraints() -> None:
    """Now, rather than when the transaction commits."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def take_turn(merge: Merge) -> None:
    """Merges into one table go one after another: side by side they would lock each other's rows."""
    table = merge.staging.model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"merge into {table}"])
        timeout = f"{LOCK_TIMEOUT // timedelta(milliseconds=1)}ms"
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [timeout])


def _busy(merge: Merge) -> str:
    table = merge.staging.model._meta.db_table
    return (
        f"Nothing was changed: others hold rows of {table} that the load needs. Try again when they let go."
    )
