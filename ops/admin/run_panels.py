"""The dashboard's panels about work: what runs now, what failed lately, the queue and its workers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from ops import permissions
from ops.admin.dashboard import Panel, register_panel
from ops.admin.live_page import format_status_badge, get_percentage, get_status_class
from ops.admin.run_facts import get_row_nouns
from ops.admin.run_words import explain_run_error, link_run, name_run
from ops.formatting import format_duration, format_time_in_words, format_time_left, pluralize, rows_per_second
from ops.models import Run
from ops.runs.progress import Progress, read_progress
from ops.runs.status import compute_status
from ops.states import UNFINISHED, UNSUCCESSFUL, State
from ops.stats.queues import read_queue_stats

_MAX_RUNS = 6


def read_current_runs(request: HttpRequest) -> dict[str, Any]:
    runs = list(Run.objects.filter(state__in=UNFINISHED).order_by("-pk")[: _MAX_RUNS + 1])
    return {"runs": [_describe_current(run) for run in runs[:_MAX_RUNS]], "has_more": len(runs) > _MAX_RUNS}


def _describe_current(run: Run) -> dict[str, Any]:
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


def _format_mean_rate(run: Run, progress: Progress) -> str:
    rate = rows_per_second(progress.changed, progress.elapsed)
    if run.state != State.RUNNING or not rate:
        return ""
    return f"{rate:,.0f} rows/s, {format_time_left(progress.total - progress.done, rate)}"


def read_failed_runs(request: HttpRequest) -> dict[str, Any]:
    """Read the runs that ended badly since yesterday began, in the time zone of the site."""
    now = timezone.localtime()
    since = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    runs = Run.objects.filter(state__in=UNSUCCESSFUL, finished_at__gte=since).order_by("-finished_at")
    found = list(runs[: _MAX_RUNS + 1])
    return {
        "runs": [
            {
                "link": link_run(run.pk, "Run"),
                "name": name_run(run),
                "state": format_status_badge(run.state),
                "when": format_time_in_words(timezone.localtime(run.finished_at), now),
                "reason": explain_run_error(run, get_row_nouns(run)),
            }
            for run in found[:_MAX_RUNS]
        ],
        "has_more": len(found) > _MAX_RUNS,
    }


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
        read_current_runs,
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
        read_failed_runs,
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
