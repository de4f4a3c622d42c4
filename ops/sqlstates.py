"""Classify database errors by their SQLSTATE."""

from __future__ import annotations

import re

from django.db import DatabaseError
from psycopg import Error

# Data exceptions, violated constraints, rows that a trigger has changed in the same statement, rows that a
# view's CHECK OPTION rejects; and what a trigger raises.
_ROW_ERROR_CLASSES = ("22", "23", "27", "44")
_RAISE_EXCEPTION = "P0001"
# Limits of the server; and those of its memory, which have the code of any internal error.
_LIMIT_EXCEEDED = ("54", "XX000")
_WITH_FAILING_ROW_DETAIL = {"23502", "23514"}
_SCHEMA_OR_PRIVILEGE_ERRORS = {"42P01", "42703", "42501"}
LOCK_NOT_AVAILABLE = "55P03"
QUERY_CANCELED = "57014"
# On a standby, which the next primary is until it is promoted; or in a read-only transaction.
READ_ONLY_TRANSACTION = "25006"
# Serialization failure, deadlock, lock timeout.
RETRYABLE = {"40001", "40P01", LOCK_NOT_AVAILABLE}


def sqlstate(error: BaseException) -> str:
    """The SQLSTATE of a database error; empty if it has none, as for a lost connection."""
    driver_error = _driver_error(error)
    return (driver_error.sqlstate or "") if driver_error else ""


def is_fatal(error: BaseException) -> bool:
    """Whether the server closed the connection with it, as after too long an idle transaction."""
    driver_error = _driver_error(error)
    return driver_error is not None and driver_error.diag.severity_nonlocalized in ("FATAL", "PANIC")


def is_row_error(error: DatabaseError) -> bool:
    """Whether a row of the statement is at fault, so that other rows may succeed."""
    state = sqlstate(error)
    return state[:2] in _ROW_ERROR_CLASSES or state == _RAISE_EXCEPTION or _violates_row_security(error)


def _violates_row_security(error: DatabaseError) -> bool:
    """Whether row-level security forbids this role to write the new row.

    A missing privilege, which is no row's fault, has the same SQLSTATE; messages differ by language.
    """
    driver_error = _driver_error(error)
    return driver_error is not None and driver_error.diag.source_function == "ExecWithCheckOptions"


def is_row_or_limit_error(error: DatabaseError) -> bool:
    """Whether a row is at fault, or exceeds a limit of the server."""
    return is_row_error(error) or sqlstate(error).startswith(_LIMIT_EXCEEDED)


def error_context(error: BaseException) -> str:
    """The error's CONTEXT as the server reports it; empty if there is none."""
    driver_error = _driver_error(error)
    return (driver_error.diag.context or "") if driver_error else ""


def error_message(error: BaseException) -> str:
    """The server's message and its DETAIL, without the statement; what Python says of any other error."""
    driver_error = _driver_error(error)
    if driver_error is None or not driver_error.diag.message_primary:
        return str(error)
    parts = (driver_error.diag.message_primary, driver_error.diag.message_detail)
    return ". ".join(part for part in parts if part)


def is_statement_error(error: DatabaseError) -> bool:
    """Whether the statement itself is wrong: no table, column or privilege is missing."""
    state = sqlstate(error)
    return state.startswith("42") and state not in _SCHEMA_OR_PRIVILEGE_ERRORS


def failing_row_first_value(error: BaseException) -> str | None:
    """The first column, as text, of the row that violates a CHECK or a NOT NULL; None if not reported.

    Its DETAIL is ``Failing row contains (4711, common, ...).``, in whatever language.
    """
    driver_error = _driver_error(error)
    if driver_error is None or driver_error.sqlstate not in _WITH_FAILING_ROW_DETAIL:
        return None
    row = (driver_error.diag.message_detail or "").partition("(")[2]
    return re.split(r", |\)", row)[0] or None


def _driver_error(error: BaseException) -> Error | None:
    """The client library's error, which Django's error wraps."""
    cause = error.__cause__ if isinstance(error, DatabaseError) else error
    return cause if isinstance(cause, Error) else None
