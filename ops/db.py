"""Transactions with settings of their own: read-only snapshots, timeouts, canonical output, batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

from django.db import DEFAULT_DB_ALIAS, InternalError, connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model
from psycopg import sql
from psycopg.pq import TransactionStatus

from ops.exceptions import WriteInReadOnlyTransaction
from ops.models import Lane, Run
from ops.sqlstates import READ_ONLY_TRANSACTION, sqlstate

# Note [What an image depends on]
# An image is the JSON or text of a value in an audit row. It depends on settings of the session, which ALTER
# ROLE, ALTER DATABASE or a pooler may set: 0.1 + 0.2 is written as 0.3 where extra_float_digits is 0. Two
# roles would write different images of one value, and a revert would take that for a change. So these
# settings are fixed wherever images are written or compared, and wherever a key is converted to text: until
# the end of the transaction, and not beyond. DateStyle applies to ranges and date keys; ISO fixes how dates
# are written, not how they are parsed. TimeZone is the one in which Django reads timestamps.
_OUTPUT_SETTINGS_SQL = """
    set_config('TimeZone', %s, true), set_config('DateStyle', 'ISO', true),
    set_config('IntervalStyle', 'postgres', true), set_config('bytea_output', 'hex', true),
    set_config('extra_float_digits', '1', true), set_config('lc_monetary', 'C', true)
"""


@contextmanager
def canonical_output() -> Iterator[None]:
    """Open a transaction with canonical output: see Note [What an image depends on]."""
    with transaction.atomic():
        set_canonical_output()
        yield


def set_canonical_output() -> None:
    """Fix the output settings until the end of the transaction: see Note [What an image depends on]."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_OUTPUT_SETTINGS_SQL}", [connection.timezone_name])
    _disable_timeouts()


@contextmanager
def read_only_snapshot(locked: Iterable[type[Model]] = (), imported: str = "") -> Iterator[None]:
    """Open a READ ONLY transaction with one snapshot (REPEATABLE READ) and canonical output.

    The tables of the models ``locked`` are locked before the snapshot is taken: see Note [What a snapshot
    does not hold]. ``imported`` is a snapshot that another transaction has exported. Inside a TestCase, whose
    transaction has begun already, the isolation level is not changed. Raises WriteInReadOnlyTransaction in
    place of the database's error.
    """
    level = "" if connection.in_atomic_block else "ISOLATION LEVEL REPEATABLE READ,"
    tables = sql.SQL(", ").join(sql.Identifier(model._meta.db_table) for model in locked)
    lock = sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE;").format(tables) if locked else sql.SQL("")
    snapshot = sql.SQL("SET TRANSACTION SNAPSHOT {};").format(imported) if imported else sql.SQL("")
    begin = f"SET TRANSACTION {level} READ ONLY; {snapshot.as_string()} {lock.as_string()}"
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute(f"{begin} SELECT {_OUTPUT_SETTINGS_SQL}", [connection.timezone_name])
        _disable_timeouts()
        try:
            yield
        except InternalError as exc:
            if sqlstate(exc) == READ_ONLY_TRANSACTION:
                raise WriteInReadOnlyTransaction(
                    f"Writing is not allowed in a preview or a check: {exc}"
                ) from exc
            raise


# Note [What a snapshot does not hold]
# A table that is truncated or rewritten after a snapshot was taken is empty to it, and a partition that is
# detached is gone, all without an error. ACCESS SHARE, taken before the snapshot, makes such commands wait.
# A transaction that imports a snapshot needs no lock of its own while the exporting one is open.


# Note [Whose timeouts]
# A role's statement_timeout is meant for the site's requests. What an operator waits for, and the checks
# without which a run cannot end, may take longer: their transactions disable the timeouts, for themselves
# only. Batches are short and keep them.
_timeouts_disabled: ContextVar[bool] = ContextVar("timeouts_disabled", default=False)
_TIMEOUT_SETTINGS = ("statement_timeout", "transaction_timeout", "idle_in_transaction_session_timeout")


@contextmanager
def without_timeouts() -> Iterator[None]:
    """Disable the role's timeouts in the transactions of the block: see Note [Whose timeouts]."""
    token = _timeouts_disabled.set(True)
    try:
        yield
    finally:
        _timeouts_disabled.reset(token)


def _disable_timeouts() -> None:
    """Disable the timeouts that this version of PostgreSQL has, until the end of the transaction."""
    if _timeouts_disabled.get():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config(name, '0', true) FROM pg_settings WHERE name = ANY(%s)",
                [list(_TIMEOUT_SETTINGS)],
            )


@contextmanager
def separate_connection(alias: str, **options: Any) -> Iterator[BaseDatabaseWrapper]:
    """Open another connection for this thread under the alias; ``options`` are libpq's.

    Django's migration executor looks connections up by alias, whatever connection it is given.
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
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [format_milliseconds(duration)])


@contextmanager
def statement_timeout(limit: timedelta, alias: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """Open a transaction with this statement_timeout."""
    with transaction.atomic(using=alias, durable=True):
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [format_milliseconds(limit)])
        yield


# Note [The timeout of a page]
# Each statement of a page goes to the server in one message with its statement_timeout. The server executes
# both in one transaction, an implicit one if none is open, so the setting costs no round trip, and nothing
# stays behind in a session, which a pooler gives to others.
_MAX_MILLISECONDS = 2**31 - 1


_statement_limit: ContextVar[int | None] = ContextVar("statement_limit", default=None)


@contextmanager
def limit_statements(limit: timedelta) -> Iterator[None]:
    """Set this statement_timeout for each statement of the block: see Note [The timeout of a page].

    A block inside it may have a limit of its own.
    """
    is_limited = _statement_limit.get() is not None
    token = _statement_limit.set(min(limit // timedelta(milliseconds=1), _MAX_MILLISECONDS))
    try:
        with nullcontext() if is_limited else connection.execute_wrapper(_execute_limited):
            yield
    finally:
        _statement_limit.reset(token)


def _execute_limited(execute: Any, statement: Any, params: Any, many: bool, context: Any) -> Any:
    # executemany sends a message for each row: none takes long. In a transaction that failed, only ROLLBACK
    # TO SAVEPOINT is accepted.
    if many or _has_failed(context["connection"]):
        return execute(statement, params, many, context)
    session = context["connection"].connection
    text = statement.as_string(session) if isinstance(statement, sql.Composable) else statement
    limited = f"SET LOCAL statement_timeout = {_statement_limit.get()}; {text}"
    result = execute(limited, params, many, context)
    context["cursor"].nextset()  # the first result is that of SET
    return result


def _has_failed(using: BaseDatabaseWrapper) -> bool:
    """Whether an error has aborted the open transaction."""
    session = using.connection
    return session is not None and session.info.transaction_status == TransactionStatus.INERROR


# Django's foreign keys are deferred: without IMMEDIATE they would fail at COMMIT, which does not say which
# rows are at fault. The idle timeout releases the locks of a process that was stopped (SIGSTOP), not killed.
# A batch always uses the index of the keys: a table that was filled a minute ago has no statistics yet, and
# the planner would read and sort all the remaining keys to find the next ones.
BATCH_SETTINGS_SQL = f"""
SELECT {_OUTPUT_SETTINGS_SQL}, set_config('application_name', %s, true), set_config('lock_timeout', %s, true),
    set_config('idle_in_transaction_session_timeout', %s, true),
    set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
    set_config('jit', 'off', true);
SET CONSTRAINTS ALL IMMEDIATE;
"""
IDLE_IN_TRANSACTION_TIMEOUT = timedelta(seconds=30)


def run_application_name(run: Run) -> str:
    """Return the application_name of sessions in a batch of the run; `` lane 1`` may follow it."""
    return f"kyndo run {run.pk}"


def batch_settings_params(run: Run, lane: Lane | None, lock_timeout: timedelta) -> list[str]:
    """Return the parameters of BATCH_SETTINGS_SQL; the application_name has the run and the lane."""
    name = run_application_name(run) + (f" lane {lane.number}" if lane else "")
    return [
        connection.timezone_name,
        name,
        format_milliseconds(lock_timeout),
        format_milliseconds(IDLE_IN_TRANSACTION_TIMEOUT),
    ]


def format_milliseconds(duration: timedelta) -> str:
    return f"{duration // timedelta(milliseconds=1)}ms"


@contextmanager
def batch_transaction(lane: Lane, lock_timeout: timedelta) -> Iterator[None]:
    """Open the transaction of a batch: with a lock_timeout, and with constraints checked immediately."""
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute(BATCH_SETTINGS_SQL, batch_settings_params(lane.run, lane, lock_timeout))
        yield
