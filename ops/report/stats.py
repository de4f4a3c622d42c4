"""How the database does, in words and as JSON."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ops import words
from ops.report.table import aligned, cut
from ops.stats.activity import Session, sessions
from ops.stats.relations import Index, Table, all_indexes, counted_since, largest_tables
from ops.stats.statements import Missing, Statement, top_statements

_TOP = 10
_WORTH = 10**6  # bytes: smaller unused indexes are only counted


@dataclass(frozen=True)
class Stats:
    statements: list[Statement] | Missing = field(default_factory=lambda: top_statements(_TOP))
    tables: list[Table] = field(default_factory=lambda: largest_tables(_TOP))
    indexes: list[Index] = field(default_factory=all_indexes)
    since: datetime | None = field(default_factory=counted_since)
    sessions: list[Session] = field(default_factory=sessions)


def as_lines(stats: Stats) -> list[str]:
    parts = (
        _statements(stats.statements),
        _tables(stats.tables),
        _indexes(stats.indexes, stats.since),
        _sessions(stats.sessions),
    )
    return [line for part in parts for line in (*part, "")][:-1]


def as_json(stats: Stats) -> dict[str, Any]:
    told = asdict(stats)
    told["statements"] = [] if isinstance(stats.statements, Missing) else told["statements"]
    missing = asdict(stats.statements) if isinstance(stats.statements, Missing) else None
    return {"event": "db_stats", "missing": missing, **told}


def _statements(found: list[Statement] | Missing) -> list[str]:
    title = "The statements that took the most time"
    if isinstance(found, Missing):
        return [title, f"  {found.why}", *(f"  > {step}" for step in found.todo)]
    rows = [
        [_span(s.total), f"{s.calls:,}", _span(s.mean), f"{s.rows:,}", words.harmless(s.query)] for s in found
    ]
    head = ["total", "calls", "mean", "rows", "statement"]
    return [title, *_table(head, rows, right=head[:4])]


def _tables(found: list[Table]) -> list[str]:
    rows = [
        [
            each.name,
            words.size(each.size),
            words.size(each.indexes),
            f"{each.live:,}",
            f"{each.dead:,}",
            f"{100 * each.dead / (each.live + each.dead):.0f} %" if each.dead else "-",
            _ago(each.vacuumed_at),
            _ago(each.analyzed_at),
        ]
        for each in found
    ]
    head = ["table", "size", "of indexes", "rows", "dead", "share", "vacuumed", "analyzed"]
    return ["The largest tables", *_table(head, rows, right=head[1:])]


def _indexes(found: list[Index], since: datetime | None) -> list[str]:
    unused = [index for index in found if index.unused]
    worth = [index for index in unused if index.size >= _WORTH]
    rows = [
        [words.size(each.size), f"{each.scans:,}", "unused" if each.unused else "", each.name, each.table]
        for each in dict.fromkeys([*found[:_TOP], *worth[:_TOP]])
    ]
    head = ["size", "scans", "", "index", "of table"]
    wasted = words.size(sum(index.size for index in unused))
    told = f"since {since:%Y-%m-%d}" if since else "since the database was made"
    title = f"The largest indexes; {len(unused)} of {len(found)} unused {told}, {wasted}"
    return [title, *_table(head, rows, right=("size", "scans"))]


def _sessions(found: list[Session]) -> list[str]:
    if not found:
        return ["Running now", "  Nobody but this command."]
    rows = [
        [
            str(each.pid),
            each.name,
            _doing(each),
            _span(each.age),
            words.harmless(each.query),
        ]
        for each in found
    ]
    head = ["process", "who", "does", "for", "statement"]
    return ["Running now", *_table(head, rows, right=("process", "for")), *_blocked(found)]


def _table(head: list[str], rows: list[list[str]], right: Collection[str]) -> list[str]:
    return [cut(f"  {line}") for line in aligned([head, *rows], right)]


def _doing(session: Session) -> str:
    return f"waits for {', '.join(map(str, session.blocked_by))}" if session.blocked_by else session.state


def _blocked(found: list[Session]) -> list[str]:
    """Who holds up others and waits for nobody: with them the waiting would end."""
    holders = {pid for session in found for pid in session.blocked_by}
    first = [session.pid for session in found if session.pid in holders and not session.blocked_by]
    return [f'  > psql "$DATABASE_URL" -c "SELECT pg_terminate_backend({pid})"' for pid in first]


def _span(span: timedelta) -> str:
    milliseconds = span / timedelta(milliseconds=1)
    return f"{milliseconds:.1f} ms" if milliseconds < 1000 else words.duration(span)


def _ago(when: datetime | None) -> str:
    if when is None:
        return "never"
    minutes = max(0, int((datetime.now(UTC) - when).total_seconds() // 60))
    if minutes < 120:
        return f"{minutes} min ago"
    return f"{minutes // 60} h ago" if minutes < 48 * 60 else f"{minutes // 1440} days ago"
