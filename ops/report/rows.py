"""The rows of a run as lines and as JSON: those that failed, those that a revert left alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ops import words
from ops.conflicts import Conflict
from ops.report.document import document
from ops.rowlist import FailedRow


def cells(row: FailedRow | Conflict) -> list[str]:
    told = failed(row) if isinstance(row, FailedRow) else _left_alone(row)
    return [row.object_id, row.name, told]


def failed(row: FailedRow) -> str:
    again = ", before the run went on; to be tried again" if row.to_retry else ""
    return f"{row.error.partition(chr(10))[0]}{again}"


def _left_alone(row: Conflict) -> str:
    if row.gone:
        return "is gone"
    return ", ".join(f"{name}: {_column(told)}" for name, told in row.columns.items())


def _column(told: Mapping[str, Any]) -> str:
    before, wrote, stands = (words.value(told[side]) for side in ("before", "wrote", "stands"))
    return f"{before} -> {wrote}, now {stands}"


def failure_json(row: FailedRow) -> dict[str, Any]:
    return {
        "object_id": row.object_id,
        "row": row.name,
        "error": row.error,
        "at": row.at.isoformat(),
        "to_retry": row.to_retry,
    }


def conflict_json(row: Conflict) -> dict[str, Any]:
    return {"object_id": row.object_id, "row": row.name, "gone": row.gone, "columns": dict(row.columns)}


def row_json(run: int, row: FailedRow | Conflict) -> dict[str, Any]:
    """A line of its own."""
    if isinstance(row, FailedRow):
        return document("failure", run=run, **failure_json(row))
    return document("conflict", run=run, **conflict_json(row))
