"""What an export says of itself when it is done."""

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
from ops.formatting import format_duration, format_size, format_time, format_value, pluralize
from ops.models import Export as QueuedExport
from ops.models import ExportState
from ops.operations.scope import Scope
from ops.report.table import format_table


def format_export_result(summary: Summary, target: Path, to_check: str) -> list[str]:
    exported_at = datetime.fromisoformat(summary.exported_at)
    duration = format_duration(timedelta(seconds=summary.seconds))
    table = [
        [f"  {summary.form.file_name(part)}", f"{written.rows:,} rows", format_size(written.bytes)]
        for part, written in summary.files.items()
    ]
    return [
        f"Exported to {target} in {duration}, as it was at {format_time(exported_at)}:",
        "",
        *format_table(table),
        "",
        f"To check it: {to_check}",
    ]


def format_export_title(export: ExportFolder) -> str:
    maker = f"KYNDO {export.version}" if export.is_ours else "the Node backend"
    return f"{export.folder}, exported at {export.exported_at} by {maker}:"


def format_verification(export: ExportFolder, verdicts: Sequence[VerificationResult]) -> list[str]:
    table = [[f"  {verdict.file.path.name}", *_verification_cells(verdict)] for verdict in verdicts]
    return [format_export_title(export), "", *format_table(table), "", _conclusion(export, verdicts)]


def _verification_cells(verdict: VerificationResult) -> list[str]:
    """What was read of a damaged file is no figure of it."""
    if verdict.reason:
        return ["-", "-", f"DAMAGED: {verdict.reason}"]
    counted = verdict.file.promise.rows is not None
    figures = [f"{verdict.file.rows:,} rows", format_size(verdict.file.bytes)]
    return [*figures, "ok" if counted else "could be read"]


def verification_json(export: ExportFolder, verdicts: Sequence[VerificationResult]) -> dict[str, Any]:
    return {
        "event": "verified",
        "ok": not any(verdict.reason for verdict in verdicts),
        "files": {
            verdict.file.path.name: {
                "rows": None if verdict.reason else verdict.file.rows,
                "error": verdict.reason or None,
                "checked": [name for name, said in vars(verdict.file.promise).items() if said is not None],
            }
            for verdict in verdicts
        },
    }


def _conclusion(export: ExportFolder, verdicts: Sequence[VerificationResult]) -> str:
    bad = sum(bool(verdict.reason) for verdict in verdicts)
    if bad:
        are = "is not as it was" if bad == 1 else "are not as they were"
        return f"{bad} of {len(verdicts)} files {are} exported."
    if export.is_ours:
        return "Every file is as it was exported."
    uncounted = [verdict.file.path.name for verdict in verdicts if verdict.file.promise.rows is None]
    if not uncounted:
        return (
            "Every file could be read, and has as many rows as the summary says."
            " The summary has no checksums, so more cannot be told."
        )
    return (
        "Every file could be read. The summary has no checksums, and does not say how many rows are in"
        f" {', '.join(uncounted)}: whether all of them are there cannot be told."
    )


HEADER = ["export", "state", "rows", "size", "asked by", "at", "folder"]


def format_row_count(export: QueuedExport) -> str:
    running = export.state == ExportState.RUNNING
    return f"{export.rows:,} of {export.total:,}" if running else f"{export.rows:,}"


def format_export_row(export: QueuedExport) -> list[str]:
    size = format_size(export.bytes)
    return [
        str(export.pk),
        export.state,
        format_row_count(export),
        size,
        export.performed_by,
        format_time(export.created_at),
        export.path,
    ]


def export_fields(export: QueuedExport) -> dict[str, str]:
    """What was asked, by whom and when, in words."""
    told = {
        "asked by": export.performed_by,
        **_request_fields(export.pk, export.created_at),
        "asked at": format_time(export.created_at),
        "ended at": format_time(export.finished_at),
        "attempts": str(export.attempts) if export.attempts > 1 else "",
        "folder": export.path,
    }
    return {name: said for name, said in told.items() if said}


@lru_cache(maxsize=1000)
def _request_fields(number: int, created_at: datetime) -> dict[str, str]:
    """What never changes, but is dear to read where many rows were chosen: a page is fetched every second.

    Numbers come again after a restore, times do not.
    """
    wanted = ExportRequest.of_json(QueuedExport.objects.values_list("asked", flat=True).get(pk=number))
    return {
        "rows": _format_scope(wanted.scope),
        "audit rows": "all" if wanted.audit_last is None else f"the last {wanted.audit_last:,}",
        "format": f"{wanted.form.format}{', gzipped' if wanted.form.compress else ''}",
    }


def _format_scope(scope: Scope) -> str:
    said = [f"{column} = {format_value(told)}" for column, told in scope.filter.items()]
    if scope.keys is not None:
        said.append(f"{pluralize(len(scope.keys), 'row')} chosen by key")
    return ", ".join(said) or "all"


def format_export_details(export: QueuedExport) -> list[str]:
    keys = export.asked["keys"]
    asked = ", ".join(
        f"{name}={told}"
        for name, told in {**export.asked, "keys": keys and f"{len(keys):,}"}.items()
        if told not in (None, {}, False)
    )
    lines = [f"Export {export.pk} is {export.state}: {export.rows:,} rows, {format_size(export.bytes)}."]
    lines += [f"  asked   by {export.performed_by}: {asked}", f"  folder  {export.path}"]
    if export.error:
        lines.append(f"  error   {export.error}")
    if export.state == ExportState.SUCCEEDED:
        lines.append(f"To have it: {manage_command('exports', 'fetch', export.pk, '--output', 'DIR')}")
    elif export.state in (ExportState.QUEUED, ExportState.RUNNING):
        lines.append(f"To stop it: {manage_command('exports', 'cancel', export.pk)}")
    return lines


def format_queued_export(export: QueuedExport, warning: str) -> list[str]:
    lines = [f"Export {export.pk} is left to the workers, for {export.path}."]
    return [
        *lines,
        *([warning] if warning else []),
        f"To see it: {manage_command('exports', 'show', export.pk)}",
    ]


def export_document(export: QueuedExport) -> dict[str, Any]:
    names = ("state", "path", "performed_by", "rows", "total", "bytes", "error", "asked", "summary")
    return {"event": "export", "export": export.pk, **{name: getattr(export, name) for name in names}}
