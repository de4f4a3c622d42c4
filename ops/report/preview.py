"""A preview as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ops.formatting import format_estimate, format_row_count, format_value
from ops.operations.base import Operation
from ops.operations.revert import Revert
from ops.report.document import FORMAT_VERSION
from ops.runs.preview import Preview, Sample

# How many groups of the breakdown a preview shows.
MAX_GROUPS = 8


def as_lines(preview: Preview, execute_command: str = "") -> list[str]:
    """Return the preview; without the command, also without the last line, that nothing was written."""
    operation = preview.operation
    lines = [f"{operation.name}: {operation.summary()}", ""]
    if not preview.total:
        return [*lines, format_no_rows(operation), *(f"  note  {note}" for note in preview.notes)]
    lines.append(f"  would change  {format_row_count(operation.model, preview.total)}")
    if preview.breakdown:
        groups = preview.breakdown[:MAX_GROUPS]
        counts = " · ".join(f"{format_value(name)} {count:,}" for name, count in groups)
        further = len(preview.breakdown) - len(groups)
        more = f" · {further} more" if further else ""
        lines.append(f"  by {operation.group_by:<11}{counts}{more}")
    lines.append(f"  estimate      {format_estimate(preview.duration)}, {format_rate_basis(preview)}")
    lines += [f"  note          {note}" for note in preview.notes]
    width = max(len(sample.label) for sample in preview.samples)
    lines += ["", "  for example"]
    lines += [
        f"    {sample.label:<{width}}  {_format_changes(sample, operation)}" for sample in preview.samples
    ]
    end = f"Nothing was written. To execute: {execute_command}"
    return [*lines, *(["", end] if execute_command else [])]


def as_json(preview: Preview) -> dict[str, Any]:
    return {
        "event": "preview",
        "version": FORMAT_VERSION,
        "operation": preview.operation.name,
        "total": preview.total,
        "breakdown": {format_value(name): count for name, count in preview.breakdown},
        "samples": [{"row": s.label, "changes": s.values} for s in preview.samples],
        "remarks": preview.notes,
        "seconds": round(preview.duration.total_seconds(), 1),
    }


def format_rate_basis(preview: Preview) -> str:
    if preview.max_rate is not None:
        return f"at the maximum rate ({preview.max_rate:,} rows/s)"
    if preview.rate_source_run is None:
        return f"assuming {preview.rate:,.0f} rows/s"
    return f"at the speed of run {preview.rate_source_run} ({preview.rate:,.0f} rows/s)"


def format_no_rows(operation: Operation) -> str:
    """Return the sentence for a preview without rows."""
    if isinstance(operation, Revert):
        return "There is nothing to revert."
    return f"No {operation.model._meta.verbose_name} needs the change."


def format_values(change: Iterable[Any], operation: Operation) -> list[str]:
    """Return the old and the new value of a sample, or only the old one where the new one is unknown."""
    values = [format_value(value) for value in change]
    return [*values, "(computed by the run)"] if operation.is_per_row() else values


def _format_changes(sample: Sample, operation: Operation) -> str:
    changes = {name: format_values(change, operation) for name, change in sample.values.items()}
    if operation.is_per_row():  # without an arrow that has nothing before it
        changes = {name: [value for value in values if value] for name, values in changes.items()}
    return ", ".join(f"{name}: {' -> '.join(values)}" for name, values in changes.items())
