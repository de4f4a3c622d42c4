"""Who still uses the old column of a change, and which rows it cannot express, as text and as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import OperationalError

from ops.column_changes.backfill import inexpressible_rows
from ops.column_changes.declaration import BaseColumnChange, ColumnChange
from ops.column_changes.steps import Step
from ops.column_changes.taking.status import ChangeStatus
from ops.column_changes.usage.database import Readers, Writer, list_readers, list_writers
from ops.db import statement_timeout
from ops.formatting import escape_control_chars, format_row_count, format_time, pluralize, truncate
from ops.report.table import format_table
from ops.sqlstates import QUERY_CANCELED, sqlstate

_COUNT_TIMEOUT = timedelta(seconds=2)
_MAX_LISTED = 5
_QUERY_WIDTH, _NAME_WIDTH = 56, 40


@dataclass(frozen=True)
class ColumnUsage:
    """``readers`` is None except before retire: earlier they are all there, later they have failed.

    ``inexpressible`` is the number of rows that the old column cannot express: -1 where counting them takes
    too long, None where the declaration refuses such rows.
    """

    writers: list[Writer] = field(default_factory=list)
    readers: Readers | None = None
    inexpressible: int | None = None


def read_usage(status: ChangeStatus) -> ColumnUsage:
    """Read what is known of the old column while it is filled; nothing before that and after its drop."""
    if Step.EXPAND not in status.taken or Step.DROP in status.taken:
        return ColumnUsage()
    is_read_by_name = status.next == Step.RETIRE
    return ColumnUsage(
        list_writers(status.change),
        list_readers(status.change) if is_read_by_name else None,
        _count_inexpressible(status.change),
    )


def _count_inexpressible(change: type[BaseColumnChange]) -> int | None:
    if not issubclass(change, ColumnChange) or change.unmappable != "keep":
        return None
    if not {*change.fields()} <= change.field_names():
        return None
    try:
        with statement_timeout(_COUNT_TIMEOUT):
            return inexpressible_rows(change).count()
    except OperationalError as exc:
        if sqlstate(exc) != QUERY_CANCELED:
            raise
        return -1


def usage_lines(change: type[BaseColumnChange], usage: ColumnUsage) -> list[str]:
    """Return the sections, each after an empty line."""
    return [
        *_writer_lines(change, usage.writers),
        *(_reader_lines(change, usage.readers) if usage.readers else []),
        *_inexpressible_lines(change, usage.inexpressible),
    ]


def _writer_lines(change: type[BaseColumnChange], writers: list[Writer]) -> list[str]:
    if not writers:
        return []
    rows = [
        [f"  {_format_name(each.application_name)}", format_time(each.last_written_at)] for each in writers
    ]
    return ["", f"Who wrote through {change.old}, and when they did last", *format_table(rows)]


def _reader_lines(change: type[BaseColumnChange], readers: Readers) -> list[str]:
    statements = [
        [f"  {pluralize(each.calls, 'call')}", ", ".join(each.users), truncate(each.query, _QUERY_WIDTH)]
        for each in readers.statements[:_MAX_LISTED]
    ]
    sessions = [
        [f"  {each.state}", _format_name(each.application_name), truncate(each.query, _QUERY_WIDTH)]
        for each in readers.sessions[:_MAX_LISTED]
    ]
    found = (
        f"{pluralize(len(readers.statements), 'statement')} and {pluralize(len(readers.sessions), 'session')}"
    )
    return [
        "",
        f"Who reads {change.old}: {found} name it",
        *(
            escape_control_chars(line)
            for rows in (statements, sessions)
            if rows
            for line in format_table(rows)
        ),
        *(f"  note  {note}" for note in readers.notes),
    ]


def _format_name(application_name: str) -> str:
    return truncate(application_name, _NAME_WIDTH) if application_name else "(no application_name)"


def _inexpressible_lines(change: type[BaseColumnChange], count: int | None) -> list[str]:
    if not count or not issubclass(change, ColumnChange):
        return []
    if count < 0:
        return ["", f"Rows that {change.old} cannot express: not counted, since it takes too long"]
    rows = format_row_count(change.model, count)
    return ["", f"{change.old} cannot express the {change.new} of {rows}, and has another value there"]


def usage_document(usage: ColumnUsage) -> dict[str, Any]:
    readers = usage.readers
    return {
        "writers": [
            {"application_name": each.application_name, "last_written_at": each.last_written_at.isoformat()}
            for each in usage.writers
        ],
        "readers": readers
        and {
            "statements": [vars(each) for each in readers.statements],
            "sessions": [{**vars(each), "since": each.since.isoformat()} for each in readers.sessions],
            "notes": readers.notes,
        },
        "inexpressible": usage.inexpressible,
    }
