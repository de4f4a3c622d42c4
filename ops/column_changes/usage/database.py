"""Who still uses the old column of a change: who writes it is recorded, of who reads it there are hints.

The dual-write triggers record the writers. PostgreSQL records no readers; the texts of statements that it
keeps for a while tell of some of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from django.db import DatabaseError, transaction
from django.db.models import Exists, F, Max, OuterRef, Q, Window
from django.db.models.functions import RowNumber
from psycopg import sql

from ops.column_changes.declaration import BaseColumnChange
from ops.column_changes.taking.step_migrations import find_old_column
from ops.command_lines import manage_command
from ops.db import statement_timeout
from ops.formatting import first_line, pluralize
from ops.models import ColumnWriter
from ops.sql.query import fetch_all, find_extension_schema

T = TypeVar("T")

EXTENSION = "pg_stat_statements"
MAX_FOUND = 20
_TIMEOUT = timedelta(seconds=2)
_MAX_TEXT = 300
# As many as ops/migrations/0016 keeps of those who write at READ COMMITTED, and its "(others)".
_MAX_NAMES = 101
_MAX_FORGOTTEN = 10_000
_HIDDEN = "<insufficient privilege>"
# An entry of pg_stat_statements keeps the text that came first; `SELECT *` and its columns by name are one.
HINT = (
    "This is a hint only. It cannot see SELECT * (or the same columns by name, if it was counted first),"
    " functions and views that read the column, statements before the last reset, statements that"
    " PostgreSQL has forgotten, long texts that are cut off, or another server, such as a replica."
)
# Statements that define something are nobody's use of a column.
_DEFINITIONS = r"^\s*(alter|analyze|comment|create|drop|grant|lock|reindex|revoke|truncate|vacuum)\M"
_NAMES_BOTH = " AND ".join(["(query ~ %s OR query ~* %s)"] * 2)
# A statement has an entry for each role, and for a call inside a function.
_STATEMENTS = f"""
SELECT left(regexp_replace(query, '\\s+', ' ', 'g'), {_MAX_TEXT}), sum(calls)::bigint,
    array_agg(DISTINCT pg_get_userbyid(userid)::text ORDER BY pg_get_userbyid(userid)::text)
FROM {{view}}
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND {_NAMES_BOTH} AND query !~* %s
GROUP BY query ORDER BY 2 DESC, 1 LIMIT {MAX_FOUND + 1}
"""  # noqa: S608
_HIDDEN_STATEMENTS = """
SELECT count(*) FROM {view}
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND query = %s
"""
_SESSIONS = f"""
SELECT application_name, usename, state, query_start,
    left(regexp_replace(query, '\\s+', ' ', 'g'), {_MAX_TEXT})
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND leader_pid IS NULL
    AND {_NAMES_BOTH} AND query !~* %s
ORDER BY query_start DESC, pid LIMIT {MAX_FOUND + 1}
"""  # noqa: S608
_HIDDEN_SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query = %s"
# Words that are a column's name only in quotes, or after a dot.
_RESERVED = "SELECT 1 FROM pg_get_keywords() WHERE word = %s AND catcode IN ('R', 'T')"


@dataclass(frozen=True)
class Writer:
    """An application that wrote through the old column; "(others)" stands for those beyond the first 100."""

    application_name: str
    last_written_at: datetime


@dataclass(frozen=True)
class Statement:
    """A statement that names the column and its table, the constants in it as ``$1``, and who executed it."""

    query: str
    calls: int
    users: list[str]


@dataclass(frozen=True)
class Session:
    """A session whose current or last statement names the column and its table; ``since``: its start."""

    application_name: str
    user: str
    state: str
    since: datetime
    query: str


@dataclass(frozen=True)
class Readers:
    """Who may still use the old column; ``notes`` are sentences on what could not be seen."""

    statements: list[Statement]
    sessions: list[Session]
    notes: list[str]


def list_writers(change: type[BaseColumnChange]) -> list[Writer]:
    """Return who wrote through the old column since the change began, and when last, the newest first."""
    rows = ColumnWriter.objects.filter(change=change.name).values_list("application_name")
    times = rows.annotate(last=Max("last_written_at")).order_by("-last", "application_name")
    return [Writer(name, last) for name, last in times]


def forget_earlier_writes() -> None:
    """Delete the rows that have a newer one of the same name, and all but the last 100 names; never wait.

    Who writes at READ COMMITTED does it for its change; here it is done where all are above that. A gate
    asks only for the newest write of any name.
    """
    newer = ColumnWriter.objects.filter(
        change=OuterRef("change"),
        application_name=OuterRef("application_name"),
        last_written_at__gt=OuterRef("last_written_at"),
    )
    place = Window(RowNumber(), partition_by="change", order_by=F("last_written_at").desc())
    numbered = ColumnWriter.objects.exclude(Exists(newer)).annotate(place=place)
    surplus = numbered.filter(place__gt=_MAX_NAMES).values_list("pk", flat=True)
    with transaction.atomic():
        is_old = Q(Exists(newer)) | Q(pk__in=list(surplus[:_MAX_FORGOTTEN]))
        rows = ColumnWriter.objects.select_for_update(skip_locked=True).filter(is_old)
        ColumnWriter.objects.filter(pk__in=list(rows.values_list("pk", flat=True)[:_MAX_FORGOTTEN])).delete()


def list_readers(change: type[BaseColumnChange]) -> Readers:
    """Return the statements and sessions that name the old column, at most ``MAX_FOUND`` of each.

    Does not raise where the extension is missing or the role may not read it: see ``Readers.notes``.
    """
    notes = [HINT]
    names = (_last_identifier(change.model._meta.db_table), find_old_column(change))
    statements = _try_query(f"{EXTENSION} cannot be read", lambda: _fetch_statements(names, notes), notes)
    sessions = _try_query("The sessions cannot be read", lambda: _fetch_sessions(names, notes), notes)
    return Readers(statements, sessions, notes)


def _try_query(problem: str, query: Callable[[], list[T]], notes: list[str]) -> list[T]:
    """Return the rows of the query; where it fails, none, with the reason in ``notes``."""
    try:
        with statement_timeout(_TIMEOUT):
            return query()
    except DatabaseError as exc:
        notes.append(f"{problem}: {first_line(exc)}")
        return []


def _fetch_statements(names: Sequence[str], notes: list[str]) -> list[Statement]:
    schema = find_extension_schema(EXTENSION)
    if schema is None:
        notes.append(
            f"This database has no extension {EXTENSION}, which counts statements."
            f" How to get it: {manage_command('db_stats')}"
        )
        return []
    view = sql.Identifier(schema, EXTENSION)
    found = fetch_all(sql.SQL(_STATEMENTS).format(view=view).as_string(), *_patterns(names), _DEFINITIONS)
    [(hidden,)] = fetch_all(sql.SQL(_HIDDEN_STATEMENTS).format(view=view).as_string(), _HIDDEN)
    _note_what_is_missing(len(found), hidden, "statement", notes)
    return [Statement(*row) for row in found[:MAX_FOUND]]


def _fetch_sessions(names: Sequence[str], notes: list[str]) -> list[Session]:
    found = fetch_all(_SESSIONS, *_patterns(names), _DEFINITIONS)
    [(hidden,)] = fetch_all(_HIDDEN_SESSIONS, _HIDDEN)
    _note_what_is_missing(len(found), hidden, "session", notes)
    return [Session(*row) for row in found[:MAX_FOUND]]


def _note_what_is_missing(found: int, hidden: int, noun: str, notes: list[str]) -> None:
    if found > MAX_FOUND:
        notes.append(f"Only {MAX_FOUND} {noun}s are listed; there are more.")
    if hidden:
        [(role,)] = fetch_all("SELECT quote_ident(current_user)")
        notes.append(
            f"The texts of {pluralize(hidden, noun)} of other roles are hidden."
            f" A superuser can show them to this role: GRANT pg_read_all_stats TO {role}"
        )


def _patterns(names: Sequence[str]) -> list[str | None]:
    """Return two patterns for each name: with quotes, and without them, which ignores case."""
    return [pattern for name in names for pattern in (_quoted_pattern(name), _unquoted_pattern(name))]


def _quoted_pattern(name: str) -> str:
    return re.escape(sql.Identifier(name).as_string())


def _unquoted_pattern(name: str) -> str | None:
    """Return None for a name that needs its quotes. A reserved word needs them except after a dot."""
    if not name.isidentifier() or name != name.lower():
        return None
    before = r"\.\s*" if fetch_all(_RESERVED, name) else r"""(?<![\w$"'])"""
    return rf"""{before}{name}(?![\w$"'])"""


def _last_identifier(db_table: str) -> str:
    """Return the table's name without its schema: ``cards`` of ``game"."cards`` or ``"game"."cards"``."""
    return db_table.strip('"').rpartition('"."')[2]
