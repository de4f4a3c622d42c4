"""The statistics of db_stats as text and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from django.db import OperationalError, transaction

from ops.command_lines import psql_command
from ops.db import set_lock_timeout
from ops.formatting import escape_control_chars, format_duration, format_size, truncate
from ops.report.table import format_table
from ops.sqlstates import LOCK_NOT_AVAILABLE, sqlstate
from ops.stats.activity import Session, fetch_sessions
from ops.stats.relations import Index, Table, fetch_indexes, fetch_largest_tables, fetch_stats_reset
from ops.stats.statements import ExtensionMissing, Statement, fetch_top_statements

T = TypeVar("T")

_MAX_ROWS = 10
_MAX_WIDTH = 100
_MIN_UNUSED_SIZE = 10**6  # bytes; smaller unused indexes are only counted
_LOCK_TIMEOUT = timedelta(seconds=1)
_LOCKED = '  The sizes cannot be read, since another session holds a lock: see "Running now".'


def _fetch_unless_locked(fetch: Callable[[], T]) -> T | None:
    """Return the result of ``fetch``; None where it waits too long for another session's lock."""
    try:
        with transaction.atomic():
            set_lock_timeout(_LOCK_TIMEOUT)
            return fetch()
    except OperationalError as exc:
        if sqlstate(exc) != LOCK_NOT_AVAILABLE:
            raise
        return None


@dataclass(frozen=True)
class DatabaseStats:
    """What db_stats shows. The sessions are read first; sizes that need a locked table are None."""

    sessions: list[Session] = field(default_factory=fetch_sessions)
    statements: list[Statement] | ExtensionMissing = field(
        default_factory=lambda: fetch_top_statements(_MAX_ROWS)
    )
    tables: list[Table] | None = field(
        default_factory=lambda: _fetch_unless_locked(lambda: fetch_largest_tables(_MAX_ROWS))
    )
    indexes: list[Index] | None = field(default_factory=lambda: _fetch_unless_locked(fetch_indexes))
    since: datetime | None = field(default_factory=fetch_stats_reset)


def as_lines(stats: DatabaseStats) -> list[str]:
    sections = (
        _session_lines(stats.sessions),
        _statement_lines(stats.statements),
        _table_lines(stats.tables),
        _index_lines(stats.indexes, stats.since),
    )
    return [line for section in sections for line in (*section, "")][:-1]


def as_json(stats: DatabaseStats) -> dict[str, Any]:
    document = {"event": "db_stats", "missing": None, **asdict(stats)}
    if isinstance(stats.statements, ExtensionMissing):
        document |= {"missing": document["statements"], "statements": []}
    return document


def _statement_lines(statements: list[Statement] | ExtensionMissing) -> list[str]:
    title = "The most expensive statements"
    if isinstance(statements, ExtensionMissing):
        return [title, f"  {statements.why}", *(f"  > {step}" for step in statements.todo)]
    rows = [
        [
            _format_duration(statement.total),
            f"{statement.calls:,}",
            _format_duration(statement.mean),
            f"{statement.rows:,}",
            escape_control_chars(statement.query),
        ]
        for statement in statements
    ]
    header = ["total", "calls", "mean", "rows", "statement"]
    return [title, *_indented_table(header, rows, right=header[:4])]


def _table_lines(tables: list[Table] | None) -> list[str]:
    title = "The largest tables"
    if tables is None:
        return [title, _LOCKED]
    rows = [
        [
            table.name,
            format_size(table.size),
            format_size(table.indexes),
            f"{table.live:,}",
            f"{table.dead:,}",
            f"{100 * table.dead / (table.live + table.dead):.0f}" if table.dead else "-",
            _format_age(table.vacuumed_at),
            _format_age(table.analyzed_at),
        ]
        for table in tables
    ]
    header = ["table", "size", "index size", "rows", "dead", "dead %", "vacuumed", "analyzed"]
    return [title, *_indented_table(header, rows, right=header[1:])]


def _index_lines(indexes: list[Index] | None, since: datetime | None) -> list[str]:
    if indexes is None:
        return ["The largest indexes", _LOCKED]
    unused = [index for index in indexes if index.unused]
    large_unused = [index for index in unused if index.size >= _MIN_UNUSED_SIZE]
    rows = [
        [
            format_size(index.size),
            f"{index.scans:,}",
            "unused" if index.unused else "",
            index.name,
            index.table,
        ]
        for index in dict.fromkeys([*indexes[:_MAX_ROWS], *large_unused[:_MAX_ROWS]])
    ]
    header = ["size", "scans", "", "index", "of table"]
    wasted = format_size(sum(index.size for index in unused))
    period = f"since {since:%Y-%m-%d}" if since else "since the database was created"
    title = f"The largest indexes; {len(unused)} of {len(indexes)} indexes unused ({wasted}) {period}"
    return [title, *_indented_table(header, rows, right=("size", "scans"))]


def _session_lines(sessions: list[Session]) -> list[str]:
    if not sessions:
        return ["Running now", "  Nothing but this command."]
    rows = [
        [
            str(session.pid),
            session.name,
            _session_activity(session),
            _format_duration(session.age),
            escape_control_chars(session.query),
        ]
        for session in sessions
    ]
    header = ["process", "name", "state", "for", "statement"]
    return [
        "Running now",
        *_indented_table(header, rows, right=("process", "for")),
        *_terminate_commands(sessions),
    ]


def _indented_table(header: list[str], rows: list[list[str]], right: Collection[str]) -> list[str]:
    return [truncate(f"  {line}", _MAX_WIDTH) for line in format_table([header, *rows], right)]


def _session_activity(session: Session) -> str:
    return f"waits for {', '.join(map(str, session.blocked_by))}" if session.blocked_by else session.state


def _terminate_commands(sessions: list[Session]) -> list[str]:
    """Return the commands that end the sessions which block others and are not blocked themselves."""
    blockers = {pid for session in sessions for pid in session.blocked_by}
    pids = [session.pid for session in sessions if session.pid in blockers and not session.blocked_by]
    return [f"  > {psql_command(f'SELECT pg_terminate_backend({pid})')}" for pid in pids]


def _format_duration(span: timedelta) -> str:
    milliseconds = span / timedelta(milliseconds=1)
    return f"{milliseconds:.1f} ms" if milliseconds < 1000 else format_duration(span)


def _format_age(time: datetime | None) -> str:
    if time is None:
        return "never"
    minutes = max(0, int((datetime.now(UTC) - time).total_seconds() // 60))
    if minutes < 120:
        return f"{minutes} min ago"
    return f"{minutes // 60} h ago" if minutes < 48 * 60 else f"{minutes // 1440} days ago"
