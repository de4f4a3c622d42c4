"""Which of its two columns a change's readers use: ``read_column(change)``.

# Note [How old the flag may be]
The step *switch* is a row of the log. A process asks for it at most once in MAX_AGE, at the moment when a
reader wants to know, so that an answer is never older. A snapshot does not see later rows: what is read in a
transaction above READ COMMITTED is an answer for its reader and for nobody else. The same holds for a test
in a transaction, which is rolled back.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from threading import Lock
from time import monotonic

from django.core.exceptions import FieldDoesNotExist
from django.db import Error, connection, transaction
from django.db.models.signals import post_migrate
from django.db.transaction import TransactionManagementError

from ops.column_changes.declaration import ColumnChange
from ops.column_changes.steps import Step
from ops.retries import is_unavailable
from ops.sql.query import fetch_all
from ops.sqlstates import sqlstate

MAX_AGE = timedelta(seconds=0.5)
_UNDEFINED_TABLE, _ABORTED_TRANSACTION = "42P01", "25P02"
_LAST_EVENT_SQL = """
SELECT current_setting('transaction_isolation'), event.step, event.is_back
FROM (SELECT) AS always LEFT JOIN LATERAL (
    SELECT step, is_back FROM ops_column_change_event
    WHERE change = %s AND created_at <= coalesce(%s::timestamptz, 'infinity') ORDER BY id DESC LIMIT 1
) AS event ON true
"""

# By the name of the change: until when the answer may be used, and whether readers use the new column.
_answers: dict[str, tuple[float, bool]] = {}
_lock = Lock()


def read_column(change: type[ColumnChange]) -> str:
    """Return the name of the field to read: the new one after the step switch, the old one before it.

    It is the field that is left once the model has only one of the two. With ``swap`` the name stays, and
    there is no step switch. While the database cannot be asked, the last answer stays.
    """
    return _only_field(change) or (change.new if _is_switched(change.name) else change.old)


def read_column_at(change: type[ColumnChange], moment: datetime) -> str:
    """Return the field that was read at the moment: what a run began with, it has to go on with.

    An operation passes its ``as_of``. A step younger than MAX_AGE at that moment is left out: its transaction
    may not have ended, or its clock be a little behind.
    """
    if field := _only_field(change):
        return field
    try:
        _, step, is_back = _read_last_event(change.name, moment - MAX_AGE)
    except Error as exc:
        if sqlstate(exc) != _UNDEFINED_TABLE:
            raise
        return change.old
    return change.new if _is_after_switch(step, is_back) else change.old


def clear_answers() -> None:
    """Forget the answers: after tables were emptied, and in a child process."""
    global _lock
    _lock = Lock()  # another thread may have held it when the process was forked
    _answers.clear()


os.register_at_fork(after_in_child=clear_answers)
post_migrate.connect(lambda **options: clear_answers(), weak=False, dispatch_uid=__name__)


def _only_field(change: type[ColumnChange]) -> str | None:
    """Return the field to read where there is no step switch."""
    if not _has_field(change, change.old):
        return change.new
    return change.old if change.swap or not _has_field(change, change.new) else None


def _has_field(change: type[ColumnChange], name: str) -> bool:
    try:
        change.model._meta.get_field(name)
    except FieldDoesNotExist:
        return False
    return True


def _is_switched(name: str) -> bool:
    until, answer = _answers.get(name, (0.0, False))
    if monotonic() < until and not _is_in_test():
        return answer
    with _lock:
        until, answer = _answers.get(name, (0.0, False))
        began = monotonic()
        if began < until and not _is_in_test():  # another thread has just asked
            return answer
        answer, is_for_all = _ask(name, answer)
        if is_for_all:
            _answers[name] = (began + MAX_AGE.total_seconds(), answer)
        return answer


def _ask(name: str, last: bool) -> tuple[bool, bool]:
    """Return whether readers use the new column, and whether that is an answer for the whole process."""
    try:
        isolation, step, is_back = _read_last_event(name)
    except Error as exc:
        if isinstance(exc, TransactionManagementError) or sqlstate(exc) == _ABORTED_TRANSACTION:
            return last, False
        return (False if sqlstate(exc) == _UNDEFINED_TABLE else last), not _is_in_test()
    return _is_after_switch(step, is_back), isolation == "read committed" and not _is_in_test()


def _is_after_switch(step: str | None, is_back: bool | None) -> bool:
    return step is not None and Step(step).position >= Step.SWITCH.position + bool(is_back)


def _read_last_event(name: str, until: datetime | None = None) -> tuple[str, str | None, bool | None]:
    """Return the isolation level, and the step and direction of the last event."""
    if connection.in_atomic_block:
        with transaction.atomic():  # an error must not end the reader's transaction
            return fetch_all(_LAST_EVENT_SQL, name, until)[0]
    try:
        return fetch_all(_LAST_EVENT_SQL, name, until)[0]
    except Error as exc:
        if not is_unavailable(exc):
            raise
        connection.close_if_unusable_or_obsolete()
        return fetch_all(_LAST_EVENT_SQL, name, until)[0]


def _is_in_test() -> bool:
    """Whether this is a transaction of Django's TestCase; Django itself finds out in the same way."""
    return any(getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)
