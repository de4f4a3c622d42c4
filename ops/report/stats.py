"""How the database does, in words and as JSON."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ops.formatting import escape_control_chars, format_duration, format_size
from ops.report.table import format_table, truncate
from ops.stats.activity import Session, fetch_sessions
from ops.stats.relations import Index, Table, fetch_indexes, fetch_largest_tables, fetch_stats_reset
from ops.stats.statements import ExtensionMissing, Statement, fetch_top_statements

_MAX_ROWS = 10
_MIN_UNUSED_SIZE = 10**6  # bytes: smaller unused indexes are only counted


@dataclass(frozen=True)
class DatabaseStats:
    statements: list[Statement] | ExtensionMissing = field(
        default_factory=lambda: fetch_top_statements(_MAX_ROWS)
    )
    tables: list[Table] = field(default_factory=lambda: fetch_largest_tables(_MAX_ROWS))
    indexes: list[Index] = field(default_factory=fetch_indexes)
    since: datetime | None = field(default_factory=fetch_stats_reset)
    sessions: list[Session] = field(default_factory=fetch_sessions)


def as_lines(stats: DatabaseStats) -> list[str]:
    parts = (
        _statement_lines(stats.statements),
        _table_lines(stats.tables),
        _index_lines(stats.indexes, stats.since),
        _session_lines(stats.sessions),
    )
    return [line for part in parts for line in (*part, "")][:-1]


def as_json(stats: DatabaseStats) -> dict[str, Any]:
    told = asdict(stats)
    told["statements"] = [] if isinstance(stats.statements, ExtensionMissing) else told["statements"]
    missing = asdict(stats.statements) if isinstance(stats.statements, ExtensionMissing) else None
    return {"event": "db_stats", "missing": missing, **told}


def _statement_lines(found: list[Statement] | ExtensionMissing) -> list[str]:
    title = "The statements that took the most time"
    if isinstance(found, ExtensionMissing):
        return [title, f"  {found.why}", *(f"  > {step}" for step in found.todo)]
    rows = [
        [
            _format_duration(s.total),
            f"{s.calls:,}",
            _format_duration(s.mean),
            f"{s.rows:,}",
            escape_control_chars(s.query),
        ]
        for s in found
    ]
    head = ["total", "calls", "mean", "rows", "statement"]
    return [title, *_indented_table(head, rows, right=head[:4])]


def _table_lines(found: list[Table]) -> list[str]:
    rows = [
        [
            each.name,
            format_size(each.size),
            format_size(each.indexes),
            f"{each.live:,}",
            f"{each.dead:,}",
            f"{100 * each.dead / (each.live + each.dead):.0f} %" if each.dead else "-",
            _format_age(each.vacuumed_at),
            _format_age(each.analyzed_at),
        ]
        for each in found
    ]
    head = ["table", "size", "of indexes", "rows", "dead", "share", "vacuumed", "analyzed"]
    return ["The largest tables", *_indented_table(head, rows, right=head[1:])]


def _index_lines(found: list[Index], since: datetime | None) -> list[str]:
    unused = [index for index in found if index.unused]
    worth = [index for index in unused if index.size >= _MIN_UNUSED_SIZE]
    rows = [
        [
            format_size(each.size),
            f"{each.scans:,}",
            "unused" if each.unused else "",
            each.name,
            each.table,
        ]
        for each in dict.fromkeys([*found[:_MAX_ROWS], *worth[:_MAX_ROWS]])
    ]
    head = ["size", "scans", "", "index", "of table"]
    wasted = format_size(sum(index.size for index in unused))
    told = f"since {since:%Y-%m-%d}" if since else "since the database was made"
    title = f"The largest indexes; {len(unused)} of {len(found)} unused {told}, {wasted}"
    return [title, *_indented_table(head, rows, right=("size", "scans"))]


def _session_lines(found: list[Session]) -> list[str]:
    if not found:
        return ["Running now", "  Nobody but this command."]
    rows = [
        [
            str(each.pid),
            each.name,
            _session_activity(each),
            _format_duration(each.age),
            escape_control_chars(each.query),
        ]
        for each in found
    ]
    head = ["process", "who", "does", "for", "statement"]
    return [
        "Running now",
        *_indented_table(head, rows, right=("process", "for")),
        *_terminate_commands(found),
    ]


def _indented_table(head: list[str], rows: list[list[str]], right: Collection[str]) -> list[str]:
    return [truncate(f"  {line}") for line in format_table([head, *rows], right)]


def _session_activity(session: Session) -> str:
    return f"waits for {', '.join(map(str, session.blocked_by))}" if session.blocked_by else session.state


def _terminate_commands(found: list[Session]) -> list[str]:
    """Who holds up others and waits for nobody: with them the waiting would end."""
    holders = {pid for session in found for pid in session.blocked_by}
    first = [session.pid for session in found if session.pid in holders and not session.blocked_by]
    return [f'  > psql "$DATABASE_URL" -c "SELECT pg_terminate_backend({pid})"' for pid in first]


def _format_duration(span: timedelta) -> str:
    milliseconds = span / timedelta(milliseconds=1)
    return f"{milliseconds:.1f} ms" if milliseconds < 1000 else format_duration(span)


def _format_age(when: datetime | None) -> str:
    if when is None:
        return "never"
    minutes = max(0, int((datetime.now(UTC) - when).total_seconds() // 60))
    if minutes < 120:
        return f"{minutes} min ago"
    return f"{minutes // 60} h ago" if minutes < 48 * 60 else f"{minutes // 1440} days ago"
