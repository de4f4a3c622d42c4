"""Failed rows of a run and conflicts of a revert, as text and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ops.formatting import format_value
from ops.report.document import build_document
from ops.runs.conflicts import Conflict
from ops.runs.row_lists import FailedRow


def row_cells(row: FailedRow | Conflict) -> list[str]:
    if isinstance(row, FailedRow):
        return [row.object_id, row.name, format_failure(row)]
    # A deleted row is named by its key.
    return [row.object_id, "-" if row.is_deleted else row.name, _format_conflict(row)]


def format_failure(row: FailedRow) -> str:
    again = ", before the run was resumed; it will be tried again" if row.to_retry else ""
    return f"{row.error.partition(chr(10))[0]}{again}"


def _format_conflict(row: Conflict) -> str:
    if row.is_deleted:
        return "deleted"
    return "; ".join(f"{name}: {_format_column(values)}" for name, values in row.columns.items())


def _format_column(values: Mapping[str, Any]) -> str:
    before, written, current = map(format_value, values.values())
    return f"{before} -> {written} (now {current})"


def failure_json(row: FailedRow) -> dict[str, Any]:
    return {
        "object_id": row.object_id,
        "row": row.name,
        "error": row.error,
        "at": row.at.isoformat(),
        "to_retry": row.to_retry,
    }


def conflict_json(row: Conflict) -> dict[str, Any]:
    return {"object_id": row.object_id, "row": row.name, "gone": row.is_deleted, "columns": dict(row.columns)}


def row_json(run: int, row: FailedRow | Conflict) -> dict[str, Any]:
    """Return the row as a complete document, for a line of JSON output."""
    if isinstance(row, FailedRow):
        return build_document("failure", run=run, **failure_json(row))
    return build_document("conflict", run=run, **conflict_json(row))
