"""The dashboard's panels about work: what runs now, what failed lately, the queue and its workers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ops import permissions
from ops.admin.dashboard.dashboard import Panel, register_panel
from ops.admin.live.live_page import format_status_badge, get_percentage, get_status_class
from ops.admin.live.run_words import explain_run_error, link_run, name_run
from ops.admin.runs.approvals import list_asked, list_to_decide
from ops.admin.runs.run_facts import get_row_nouns
from ops.formatting import format_duration, format_time_in_words, format_time_left, pluralize, rows_per_second
from ops.models import Export, ExportState, Run
from ops.runs.progress import Progress, read_progress
from ops.runs.status import compute_status
from ops.states import UNFINISHED, UNSUCCESSFUL, State
from ops.stats.queues import read_queue_stats

_MAX_ITEMS = 6
_UNFINISHED_EXPORTS = (ExportState.QUEUED, ExportState.RUNNING, ExportState.CANCELLING)


def read_current_work(request: HttpRequest) -> dict[str, Any]:
    """Read the runs and the exports that have not ended, and how many wait for a second person."""
    unfinished = Run.objects.filter(state__in=UNFINISHED).exclude(state=State.AWAITING_APPROVAL)
    runs = unfinished.order_by("-pk")
    exports = _list_exports(request, state__in=_UNFINISHED_EXPORTS)
    work = [
        *map(_describe_current_run, runs[: _MAX_ITEMS + 1]),
        *map(_describe_current_export, exports[: _MAX_ITEMS + 1]),
    ]
    return {
        "items": work[:_MAX_ITEMS],
        "has_more": len(work) > _MAX_ITEMS,
        "to_decide": len(list_to_decide(request.user)),
        "asked": len(list_asked(request.user)),
    }


def _list_exports(request: HttpRequest, **conditions: Any) -> QuerySet[Export]:
    """List those that the user may see, without their requests, which may hold the keys of many rows."""
    if not admin.site.get_model_admin(Export).has_view_permission(request):
        return Export.objects.none()
    return Export.objects.filter(**conditions).defer("asked", "summary")


def _describe_current_run(run: Run) -> dict[str, Any]:
    progress, status = read_progress(run), compute_status(run)
    return {
        "link": link_run(run.pk, "Run"),
        "name": name_run(run),
        "state": format_status_badge(status),
        "status_class": get_status_class(status),
        "share": get_percentage(progress.done, progress.total),
        "done": f"{progress.done:,} of {pluralize(progress.total, *get_row_nouns(run))}",
        "rate": _format_mean_rate(run, progress),
        "performed_by": run.performed_by,
    }


def _describe_current_export(export: Export) -> dict[str, Any]:
    return {
        "link": _link_export(export),
        "name": "",
        "state": format_status_badge(export.state),
        "status_class": get_status_class(export.state),
        "share": get_percentage(export.rows, export.total) if export.total else 0.0,
        "done": f"{export.rows:,} of {pluralize(export.total, 'row')}" if export.total else "",
        "rate": "",
        "performed_by": export.performed_by,
    }


def _link_export(export: Export) -> SafeString:
    url = reverse("admin:ops_export_change", args=[export.pk])
    return format_html('<a class="ops-link" href="{}">Export {}</a>', url, export.pk)


def _format_mean_rate(run: Run, progress: Progress) -> str:
    rate = rows_per_second(progress.changed, progress.elapsed)
    if run.state != State.RUNNING or not rate:
        return ""
    return f"{rate:,.0f} rows/s, {format_time_left(progress.total - progress.done, rate)}"


def read_failed_work(request: HttpRequest) -> dict[str, Any]:
    """Read what ended badly since yesterday began, in the time zone of the site."""
    now = timezone.localtime()
    since = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    runs = Run.objects.filter(state__in=UNSUCCESSFUL, finished_at__gte=since).order_by("-finished_at")
    runs = runs.exclude(pk__in=_list_retried(since))
    exports = _list_exports(request, state=ExportState.FAILED, finished_at__gte=since)
    work = [
        *(
            _describe_failed(run, link_run(run.pk, "Run"), name_run(run), _explain(run))
            for run in runs[: _MAX_ITEMS + 1]
        ),
        *(
            _describe_failed(export, _link_export(export), "", export.error.partition("\n")[0])
            for export in exports[: _MAX_ITEMS + 1]
        ),
    ]
    return {"items": work[:_MAX_ITEMS], "has_more": len(work) > _MAX_ITEMS}


def _list_retried(since: datetime) -> set[int]:
    """Return the numbers of the runs whose failed rows a later run has retried with success."""
    retries = Run.objects.filter(state=State.SUCCEEDED, finished_at__gte=since, scope__has_key="retries")
    return set(retries.values_list("scope__retries", flat=True))


def _describe_failed(item: Any, link: SafeString, name: str, reason: str) -> dict[str, Any]:
    when = format_time_in_words(timezone.localtime(item.finished_at), timezone.localtime())
    return {
        "link": link,
        "name": name,
        "state": format_status_badge(item.state),
        "when": when,
        "reason": reason,
    }


def _explain(run: Run) -> str:
    return explain_run_error(run, get_row_nouns(run))


def read_queue(request: HttpRequest) -> dict[str, Any]:
    """Count the jobs and the workers. Raises RedisError."""
    queues, workers = read_queue_stats()
    oldest = max((queue.oldest_waiting or 0 for queue in queues), default=0)
    waiting = sum(queue.waiting for queue in queues)
    return {
        "workers": workers,
        "waiting": f"{waiting:,}",
        "active": f"{sum(queue.active for queue in queues):,}",
        "failed": sum(queue.failed for queue in queues),
        "oldest": format_duration(timedelta(seconds=oldest)) if waiting else "",
    }


register_panel(
    Panel(
        "running",
        "Running now",
        "ops/admin/panels/running.html",
        "ops.view_run",
        read_current_work,
        position=10,
        link=("All runs", "admin:ops_run_changelist"),
        columns=2,
        interval=5,
    )
)
register_panel(
    Panel(
        "failed",
        "Failed since yesterday",
        "ops/admin/panels/failed.html",
        "ops.view_run",
        read_failed_work,
        position=20,
        interval=30,
    )
)
register_panel(
    Panel(
        "queue",
        "Queue and workers",
        "ops/admin/panels/queue.html",
        permissions.VIEW_QUEUE,
        read_queue,
        position=40,
        link=("The queue", "admin:queue"),
        interval=10,
    )
)
