"""What an export says of itself when it is done."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from ops import words
from ops.export.summary import Export, Summary
from ops.export.verify import Verdict
from ops.export.wanted import Wanted
from ops.models import Export as QueuedExport
from ops.models import ExportState
from ops.report.table import aligned
from ops.scope import Scope
from ops.typed import manage


def done_lines(summary: Summary, target: Path, to_check: str) -> list[str]:
    taken = datetime.fromisoformat(summary.exported_at)
    duration = words.duration(timedelta(seconds=summary.seconds))
    table = [
        [f"  {summary.form.file_name(part)}", f"{written.rows:,} rows", words.size(written.bytes)]
        for part, written in summary.files.items()
    ]
    return [
        f"Exported to {target} in {duration}, as it was at {taken:%Y-%m-%d %H:%M:%S} UTC:",
        "",
        *aligned(table),
        "",
        f"To check it: {to_check}",
    ]


def title(export: Export) -> str:
    maker = f"KYNDO {export.version}" if export.is_ours else "the Node backend"
    return f"{export.folder}, exported at {export.exported_at} by {maker}:"


def verdict_lines(export: Export, verdicts: Sequence[Verdict]) -> list[str]:
    table = [[f"  {verdict.file.path.name}", *_found(verdict)] for verdict in verdicts]
    return [title(export), "", *aligned(table), "", _judgement(export, verdicts)]


def _found(verdict: Verdict) -> list[str]:
    """What was read of a damaged file is no figure of it."""
    if verdict.reason:
        return ["-", "-", f"DAMAGED: {verdict.reason}"]
    counted = verdict.file.promise.rows is not None
    figures = [f"{verdict.file.rows:,} rows", words.size(verdict.file.bytes)]
    return [*figures, "ok" if counted else "could be read"]


def verdict_json(export: Export, verdicts: Sequence[Verdict]) -> dict[str, Any]:
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


def _judgement(export: Export, verdicts: Sequence[Verdict]) -> str:
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


HEAD = ["export", "state", "rows", "size", "asked by", "at", "folder"]


def rows(export: QueuedExport) -> str:
    running = export.state == ExportState.RUNNING
    return f"{export.rows:,} of {export.total:,}" if running else f"{export.rows:,}"


def line(export: QueuedExport) -> list[str]:
    size = words.size(export.bytes)
    at = f"{export.created_at:%Y-%m-%d %H:%M:%S} UTC"
    return [str(export.pk), export.state, rows(export), size, export.performed_by, at, export.path]


def facts(export: QueuedExport) -> dict[str, str]:
    """What was asked, by whom and when, in words."""
    at = "%Y-%m-%d %H:%M:%S UTC"
    told = {
        "asked by": export.performed_by,
        **_asked(export.pk, export.created_at),
        "asked at": f"{export.created_at:{at}}",
        "ended at": f"{export.finished_at:{at}}" if export.finished_at else "",
        "attempts": str(export.attempts) if export.attempts > 1 else "",
        "folder": export.path,
    }
    return {name: said for name, said in told.items() if said}


@lru_cache(maxsize=1000)
def _asked(number: int, created_at: datetime) -> dict[str, str]:
    """What never changes, but is dear to read where many rows were chosen: a page is fetched every second.

    Numbers come again after a restore, times do not.
    """
    wanted = Wanted.of_json(QueuedExport.objects.values_list("asked", flat=True).get(pk=number))
    return {
        "rows": _scope(wanted.scope),
        "audit rows": "all" if wanted.audit_last is None else f"the last {wanted.audit_last:,}",
        "format": f"{wanted.form.format}{', gzipped' if wanted.form.compress else ''}",
    }


def _scope(scope: Scope) -> str:
    said = [f"{column} = {words.value(told)}" for column, told in scope.filter.items()]
    if scope.keys is not None:
        said.append(f"{words.plural(len(scope.keys), 'row')} chosen by key")
    return ", ".join(said) or "all"


def whole(export: QueuedExport) -> list[str]:
    keys = export.asked["keys"]
    asked = ", ".join(
        f"{name}={told}"
        for name, told in {**export.asked, "keys": keys and f"{len(keys):,}"}.items()
        if told not in (None, {}, False)
    )
    lines = [f"Export {export.pk} is {export.state}: {export.rows:,} rows, {words.size(export.bytes)}."]
    lines += [f"  asked   by {export.performed_by}: {asked}", f"  folder  {export.path}"]
    if export.error:
        lines.append(f"  error   {export.error}")
    if export.state == ExportState.SUCCEEDED:
        lines.append(f"To have it: {manage('exports', 'fetch', export.pk, '--output', 'DIR')}")
    elif export.state in (ExportState.QUEUED, ExportState.RUNNING):
        lines.append(f"To stop it: {manage('exports', 'cancel', export.pk)}")
    return lines


def queued_lines(export: QueuedExport, warning: str) -> list[str]:
    lines = [f"Export {export.pk} is left to the workers, for {export.path}."]
    return [*lines, *([warning] if warning else []), f"To see it: {manage('exports', 'show', export.pk)}"]


def as_json(export: QueuedExport) -> dict[str, Any]:
    names = ("state", "path", "performed_by", "rows", "total", "bytes", "error", "asked", "summary")
    return {"event": "export", "export": export.pk, **{name: getattr(export, name) for name in names}}
