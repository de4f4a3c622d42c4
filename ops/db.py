"""Settings of a transaction, as context managers named after what they promise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

from django.db import DEFAULT_DB_ALIAS, InternalError, connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ops.exceptions import WriteInReadOnlyTransaction
from ops.models import Lane, Run
from ops.sqlstates import READ_ONLY_TRANSACTION, sqlstate

# Note [What an image depends on]
# The JSON and the text that PostgreSQL makes of a value depend on settings of the session, which ALTER ROLE,
# ALTER DATABASE or a pooler may give: it tells 0.1 + 0.2 as 0.3 where extra_float_digits is 0. Two logins
# would tell one value in two ways, and a revert would take the one for a change of the other. So wherever
# images are written or compared, and wherever a key becomes text, these are fixed until the end of the
# transaction, and never beyond it. DateStyle goes into ranges and date keys; of it, ISO fixes how dates are
# told, not how they are read. TimeZone is what Django reads moments in.
_OUTPUT_SETTINGS_SQL = """
    set_config('TimeZone', %s, true), set_config('DateStyle', 'ISO', true),
    set_config('IntervalStyle', 'postgres', true), set_config('bytea_output', 'hex', true),
    set_config('extra_float_digits', '1', true), set_config('lc_monetary', 'C', true)
"""


@contextmanager
def canonical_output() -> Iterator[None]:
    """A transaction in which the image of a value depends on the value alone: see the note."""
    with transaction.atomic():
        set_canonical_output()
        yield


def set_canonical_output() -> None:
    """Until the end of the transaction: see Note [What an image depends on]."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_OUTPUT_SETTINGS_SQL}", [connection.timezone_name])
    _disable_timeouts()


@contextmanager
def read_only_snapshot() -> Iterator[None]:
    """One snapshot in which the database refuses every write.

    Inside a TestCase, which is in the midst of a transaction, it is no snapshot.
    """
    snapshot = "" if connection.in_atomic_block else "ISOLATION LEVEL REPEATABLE READ,"
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute(
                f"SET TRANSACTION {snapshot} READ ONLY; SELECT {_OUTPUT_SETTINGS_SQL}",
                [connection.timezone_name],
            )
        _disable_timeouts()
        try:
            yield
        except InternalError as exc:
            if sqlstate(exc) == READ_ONLY_TRANSACTION:
                raise WriteInReadOnlyTransaction(
                    f"Nothing may be written while it is only looked: {exc}"
                ) from exc
            raise


# Note [Whose time limits]
# A role's statement_timeout means the site's requests. What an operator asked for and waits for, and the
# checks without which a run cannot end, take the time that they take: their transactions set the limits
# aside, for themselves alone. Batches are short, and keep them.
_timeouts_disabled: ContextVar[bool] = ContextVar("unhurried", default=False)
_TIMEOUT_SETTINGS = ("statement_timeout", "transaction_timeout", "idle_in_transaction_session_timeout")


@contextmanager
def without_timeouts() -> Iterator[None]:
    """What is looked at inside takes its time: see Note [Whose time limits]."""
    token = _timeouts_disabled.set(True)
    try:
        yield
    finally:
        _timeouts_disabled.reset(token)


def _disable_timeouts() -> None:
    """Until the end of the transaction. Not every server has all of the limits."""
    if _timeouts_disabled.get():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config(name, '0', true) FROM pg_settings WHERE name = ANY(%s)",
                [list(_TIMEOUT_SETTINGS)],
            )


@contextmanager
def separate_connection(alias: str, **options: Any) -> Iterator[BaseDatabaseWrapper]:
    """Another connection to the database, for this thread, with some options of libpq of its own.

    Under an alias, by which Django asks for migrations, whatever connection it is given.
    """
    other = connection.copy(alias)
    other.settings_dict["OPTIONS"] = {**other.settings_dict["OPTIONS"], **options}
    connections[alias] = other
    try:
        yield other
    finally:
        other.close()
        del connections[alias]


def set_lock_timeout(duration: timedelta) -> None:
    """Set lock_timeout until the end of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [_format_milliseconds(duration)])


@contextmanager
def statement_timeout(limit: timedelta, alias: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """A transaction in which no statement takes longer."""
    with transaction.atomic(using=alias, durable=True):
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [_format_milliseconds(limit)])
        yield


# Django's foreign keys are deferred: without IMMEDIATE they would fail at COMMIT, when it is too late to say
# which rows were at fault. A process that is stopped, not killed, lets go of its rows after the idle time.
# A batch walks along the keys, whatever the statistics say: of a table that was filled a minute ago there are
# none, and the planner would gather and sort all the keys ahead to find the next ones.
BATCH_SETTINGS_SQL = f"""
SELECT {_OUTPUT_SETTINGS_SQL}, set_config('application_name', %s, true), set_config('lock_timeout', %s, true),
    set_config('idle_in_transaction_session_timeout', %s, true),
    set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
    set_config('jit', 'off', true);
SET CONSTRAINTS ALL IMMEDIATE;
"""
IDLE_IN_TRANSACTION_TIMEOUT = timedelta(seconds=30)


def run_application_name(run: Run) -> str:
    """The name in pg_stat_activity of a backend in a batch of the run; `` lane 1`` may follow it."""
    return f"kyndo run {run.pk}"


def batch_settings_params(run: Run, lane: Lane | None, lock_timeout: timedelta) -> list[str]:
    """The parameters of BATCH_SETTINGS: pg_stat_activity names the run and the lane."""
    name = run_application_name(run) + (f" lane {lane.number}" if lane else "")
    return [
        connection.timezone_name,
        name,
        _format_milliseconds(lock_timeout),
        _format_milliseconds(IDLE_IN_TRANSACTION_TIMEOUT),
    ]


def _format_milliseconds(span: timedelta) -> str:
    return f"{span // timedelta(milliseconds=1)}ms"


@contextmanager
def batch_transaction(lane: Lane, lock_timeout: timedelta) -> Iterator[None]:
    """A short transaction that waits for no lock for long, and for which constraints hold at once."""
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute(BATCH_SETTINGS_SQL, batch_settings_params(lane.run, lane, lock_timeout))
        yield
