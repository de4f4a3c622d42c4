"""What kind of error the database has raised, by its SQLSTATE."""

from __future__ import annotations

import re

from django.db import DatabaseError
from psycopg import Error

# Data exceptions, broken constraints, rows that a trigger has changed in the same statement, rows that a view
# does not let in, and what a trigger raises.
_ROW_ERROR_CLASSES = ("22", "23", "27", "44")
_RAISE_EXCEPTION = "P0001"
# Limits of the program; and of its memory, where the code is that of any internal error.
_LIMIT_EXCEEDED = ("54", "XX000")
_WITH_FAILING_ROW_DETAIL = {"23502", "23514"}
_SCHEMA_OR_PRIVILEGE_ERRORS = {"42P01", "42703", "42501"}
LOCK_NOT_AVAILABLE = "55P03"
# By a standby, as a primary is until it is promoted; or within a transaction that only reads.
READ_ONLY_TRANSACTION = "25006"
# Serialization failure and deadlock, too.
RETRYABLE = {"40001", "40P01", LOCK_NOT_AVAILABLE}


def sqlstate(error: BaseException) -> str:
    """The SQLSTATE of a database error; empty where it has none, as a lost connection."""
    told = _driver_error(error)
    return (told.sqlstate or "") if told else ""


def is_fatal(error: BaseException) -> bool:
    """Whether the server closed the connection with it, as after too long an idle transaction."""
    told = _driver_error(error)
    return told is not None and told.diag.severity_nonlocalized in ("FATAL", "PANIC")


def is_row_error(error: DatabaseError) -> bool:
    """Whether the row is at fault, and no other."""
    state = sqlstate(error)
    return state[:2] in _ROW_ERROR_CLASSES or state == _RAISE_EXCEPTION or _violates_row_security(error)


def _violates_row_security(error: DatabaseError) -> bool:
    """Whether the new row is one that row-level security does not let this role write.

    Of the same SQLSTATE as a right that is missing, which no row is at fault for; words differ by language.
    """
    told = _driver_error(error)
    return told is not None and told.diag.source_function == "ExecWithCheckOptions"


def is_row_or_limit_error(error: DatabaseError) -> bool:
    """Whether what was to be stored is at fault: a row, or a limit of the database that it passes."""
    return is_row_error(error) or sqlstate(error).startswith(_LIMIT_EXCEEDED)


def error_context(error: BaseException) -> str:
    """Where the server was when it met the error; empty where it does not say."""
    told = _driver_error(error)
    return (told.diag.context or "") if told else ""


def is_statement_error(error: DatabaseError) -> bool:
    """Whether the statement itself is wrong, and no table or column is lacking, nor a right."""
    state = sqlstate(error)
    return state.startswith("42") and state not in _SCHEMA_OR_PRIVILEGE_ERRORS


def failing_row_first_value(error: BaseException) -> str | None:
    """The first column, as text, of the row that PostgreSQL says broke a CHECK or a NOT NULL, where it does.

    Its DETAIL is ``Failing row contains (4711, common, ...).``, in whatever language.
    """
    told = _driver_error(error)
    if told is None or told.sqlstate not in _WITH_FAILING_ROW_DETAIL:
        return None
    row = (told.diag.message_detail or "").partition("(")[2]
    return re.split(r", |\)", row)[0] or None


def _driver_error(error: BaseException) -> Error | None:
    """The client library's error within Django's, or the one itself."""
    cause = error.__cause__ if isinstance(error, DatabaseError) else error
    return cause if isinstance(cause, Error) else None
