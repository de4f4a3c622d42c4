"""Exports as text and as JSON: results, verifications, lists, details."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from ops.command_lines import manage_command
from ops.export.request import ExportRequest
from ops.export.summary import ExportFolder, Summary
from ops.export.verify import VerificationResult
from ops.formatting import format_elapsed, format_size, format_time, format_value, pluralize
from ops.models import Export as QueuedExport
from ops.models import ExportState
from ops.operations.scope import Scope
from ops.report.table import format_table


def format_export_result(summary: Summary, target: Path, verify_command: str) -> list[str]:
    exported_at = datetime.fromisoformat(summary.exported_at)
    duration = format_elapsed(timedelta(seconds=summary.seconds))
    table = [
        [f"  {summary.file_format.file_name(dataset)}", pluralize(file.rows, "row"), format_size(file.bytes)]
        for dataset, file in summary.files.items()
    ]
    return [
        f"Exported to {target} in {duration}, as it was at {format_time(exported_at)}:",
        "",
        *format_table(table),
        "",
        f"To check it: {verify_command}",
    ]


def format_export_title(export: ExportFolder) -> str:
    source = f"KYNDO {export.version}" if export.is_ours else "the Node backend"
    return f"{export.folder}, exported at {_format_exported_at(export.exported_at)} by {source}:"


def _format_exported_at(text: str) -> str:
    """Format the time of a summary; return what is no time as it is."""
    try:
        return format_time(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return text


def format_verification(export: ExportFolder, results: Sequence[VerificationResult]) -> list[str]:
    table = [[f"  {result.file.path.name}", *_verification_cells(result)] for result in results]
    return [format_export_title(export), "", *format_table(table), "", _conclusion(export, results)]


def _verification_cells(result: VerificationResult) -> list[str]:
    """Return rows, size and status; the rows and the size of a damaged file are not known."""
    if result.reason:
        return ["-", "-", f"DAMAGED: {result.reason}"]
    status = "could be read" if result.file.expected.rows is None else "ok"
    return [pluralize(result.file.rows, "row"), format_size(result.file.bytes), status]


def verification_json(export: ExportFolder, results: Sequence[VerificationResult]) -> dict[str, Any]:
    return {
        "event": "verified",
        "ok": not any(result.reason for result in results),
        "files": {
            result.file.path.name: {
                "rows": None if result.reason else result.file.rows,
                "error": result.reason or None,
                "checked": [name for name, value in vars(result.file.expected).items() if value is not None],
            }
            for result in results
        },
    }


def _conclusion(export: ExportFolder, results: Sequence[VerificationResult]) -> str:
    damaged = sum(bool(result.reason) for result in results)
    if damaged:
        are = "is not as it was" if damaged == 1 else "are not as they were"
        return f"{damaged} of {len(results)} files {are} exported."
    if export.is_ours:
        return "Every file is as it was exported."
    uncounted = [result.file.path.name for result in results if result.file.expected.rows is None]
    if not uncounted:
        return (
            "Every file could be read, and has as many rows as the summary says."
            " The summary has no checksums, so the contents could not be checked."
        )
    return (
        "Every file could be read. The summary has no checksums, and no number of rows for"
        f" {', '.join(uncounted)}, so rows may be missing."
    )


HEADER = ["export", "state", "rows", "size", "user", "created", "folder"]


def format_row_count(export: QueuedExport) -> str:
    is_running = export.state == ExportState.RUNNING
    return f"{export.rows:,} of {export.total:,}" if is_running else f"{export.rows:,}"


def format_export_row(export: QueuedExport) -> list[str]:
    """Return the cells of HEADER."""
    return [
        str(export.pk),
        export.state,
        format_row_count(export),
        format_size(export.bytes),
        export.performed_by,
        format_time(export.created_at),
        export.path,
    ]


def export_fields(export: QueuedExport) -> dict[str, str]:
    """Return what was requested, by whom and when, by label; empty fields are left out."""
    fields = {
        "user": export.performed_by,
        **_request_fields(export.pk, export.created_at),
        "created": format_time(export.created_at),
        "finished": format_time(export.finished_at),
        "attempts": str(export.attempts) if export.attempts > 1 else "",
        "folder": export.path,
    }
    return {label: text for label, text in fields.items() if text}


@lru_cache(maxsize=1000)
def _request_fields(number: int, created_at: datetime) -> dict[str, str]:
    """Cached: it never changes, and is slow to read where many rows were chosen; pages refresh each second.

    Numbers are used again after a restore, times are not.
    """
    request = ExportRequest.from_json(QueuedExport.objects.values_list("asked", flat=True).get(pk=number))
    file_format = request.file_format
    return {
        "rows": _format_scope(request.scope),
        "audit rows": "all" if request.audit_last is None else f"the newest {request.audit_last:,}",
        "format": f"{file_format.format}{', gzipped' if file_format.compress else ''}",
    }


def _format_scope(scope: Scope) -> str:
    conditions = [f"{column} = {format_value(value)}" for column, value in scope.filter.items()]
    if scope.keys is not None:
        conditions.append(f"{pluralize(len(scope.keys), 'row')} selected by key")
    return ", ".join(conditions) or "all"


def format_export_details(export: QueuedExport) -> list[str]:
    keys = export.asked["keys"]
    request = {**export.asked, "keys": keys and f"{len(keys):,}"}
    options = ", ".join(
        f"{name}={value}" for name, value in request.items() if value not in (None, {}, False)
    )
    written = f"{pluralize(export.rows, 'row')}, {format_size(export.bytes)}"
    lines = [
        f"Export {export.pk} is {export.state}: {written}.",
        f"  user      {export.performed_by}",
        f"  request   {options}",
        f"  folder    {export.path}",
    ]
    if export.error:
        lines.append(f"  error     {export.error}")
    if export.state == ExportState.SUCCEEDED:
        lines.append(f"To fetch it: {manage_command('exports', 'fetch', export.pk, '--output', 'DIR')}")
    elif export.state in (ExportState.QUEUED, ExportState.RUNNING):
        lines.append(f"To cancel it: {manage_command('exports', 'cancel', export.pk)}")
    return lines


def format_queued_export(export: QueuedExport, warning: str) -> list[str]:
    return [
        f"Export {export.pk} is queued. A worker will write it to {export.path}.",
        *([warning] if warning else []),
        f"To see it: {manage_command('exports', 'show', export.pk)}",
    ]


def export_document(export: QueuedExport) -> dict[str, Any]:
    names = ("state", "path", "performed_by", "rows", "total", "bytes", "error", "asked", "summary")
    return {"event": "export", "export": export.pk, **{name: getattr(export, name) for name in names}}
