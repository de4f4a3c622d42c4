"""The page of the queue: its jobs and workers, and buttons to retry or delete a job that failed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.views.decorators.cache import never_cache
from redis import RedisError

from ops import permissions
from ops.admin.dashboard.dashboard import REDIS_TROUBLE
from ops.admin.live.live_page import format_status_badge
from ops.admin.live.run_words import link_run, name_run
from ops.command_lines import manage_command
from ops.exceptions import OpsError
from ops.formatting import format_time_in_words
from ops.models import AuditLog, Run
from ops.queue import jobs
from ops.states import State

_MAX_JOBS = 50
# What the audit log says that an action on a job was about.
_AUDITED_TYPE = "queue.job"
_TITLES = {
    "failed": "Failed",
    "started": "Being worked on",
    "queued": "Waiting",
    "scheduled": "Waiting for their time",
    "deferred": "Waiting for another job",
}
_REASONS: list[tuple[str, str]] = [
    (
        r"Work-horse terminated unexpectedly.*signal (\d+)",
        "The worker's process was killed (signal {}). The machine may have run out of memory.",
    ),
    (r"AbandonedJobError", "The worker ended without a word: it was killed, or its machine was stopped."),
    (r"redis\.exceptions\.", "Redis, which holds the queue, did not answer."),
    (r"(?:OperationalError|InterfaceError): (.+)", "The database did not answer: {}"),
]


@dataclass(frozen=True)
class Action:
    """An action on a failed job: its name in the audit log, what it does, and the job's state after it."""

    name: str
    apply: Callable[[str], None]
    new_state: str | None
    done: str


_ACTIONS = {
    "retry": Action("retry_job", jobs.retry_job, "queued", "The job {} waits for a worker again."),
    "delete": Action("delete_job", jobs.delete_job, None, "The job {} was deleted."),
}


@dataclass(frozen=True)
class JobRow:
    """A job as the page shows it. ``note`` says what a retry is good for."""

    job: jobs.QueuedJob
    subject: SafeString | str
    state: SafeString | str
    since: str
    reason: str
    note: str


def build_urls(site: admin.AdminSite) -> list[URLPattern]:
    actions = [
        path(
            f"queue/<str:job_id>/{verb}/",
            site.admin_view(partial(action_view, verb=verb)),
            name=f"queue_{verb}",
        )
        for verb in _ACTIONS
    ]
    live = partial(queue_view, template="ops/admin/_queue.html")
    return [
        path("queue/", site.admin_view(queue_view), name="queue"),
        path("queue/live/", site.admin_view(live), name="queue_live"),
        *actions,
    ]


@never_cache
def queue_view(request: HttpRequest, template: str = "ops/admin/queue.html") -> HttpResponse:
    """Show the page, or the part of it that is refreshed while it is open."""
    if not request.user.has_perm(permissions.VIEW_QUEUE):
        raise PermissionDenied
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    context = {
        **admin.site.each_context(request),
        "title": "Queue",
        "may_manage": request.user.has_perm(permissions.MANAGE_QUEUE),
        "start_command": manage_command("rqworker"),
    }
    try:
        context |= _read_queue(request)
    except RedisError:
        context["trouble"] = REDIS_TROUBLE
    return TemplateResponse(request, template, context)


def _read_queue(request: HttpRequest) -> dict[str, Any]:
    lists, workers = jobs.list_jobs(_MAX_JOBS), jobs.list_workers()
    found = [job for each in lists for job in each.jobs]
    runs = Run.objects.in_bulk({job.number for job in found if job.kind == "run"})
    describe = partial(_describe_job, request, runs)
    now = timezone.localtime()
    return {
        "sections": [
            {
                "state": each.state,
                "title": _TITLES[each.state],
                "queue": each.queue,
                "count": each.count,
                "rows": [describe(job) for job in each.jobs],
                "more": each.count - len(each.jobs),
            }
            for each in lists
        ],
        "workers": [
            (worker, worker.heartbeat_at and _format_time(worker.heartbeat_at, now)) for worker in workers
        ],
        "alive": sum(worker.is_alive for worker in workers),
        "counts": _sum_by_state(lists),
    }


def _sum_by_state(lists: Iterable[jobs.JobList]) -> dict[str, int]:
    counts = dict.fromkeys(_TITLES, 0)
    for each in lists:
        counts[each.state] += each.count
    return counts


def _describe_job(request: HttpRequest, runs: dict[int, Run], job: jobs.QueuedJob) -> JobRow:
    subject: SafeString | str = job.description or job.id
    state, note, run = "", "", runs.get(job.number) if job.kind == "run" else None
    if run is not None:
        may_view = admin.site.get_model_admin(Run).has_view_permission(request)
        subject = link_run(run.pk, f"{name_run(run)}, run") if may_view else f"{name_run(run)}, run {run.pk}"
        state = format_status_badge(run.state)
    if job.error and job.kind == "run":
        note = _explain_retry(run)
    since = _format_time(job.since, timezone.localtime()) if job.since else ""
    return JobRow(job, subject, state, since, explain_job_error(job.error), note)


def _explain_retry(run: Run | None) -> str:
    if run is None:
        return "Its run no longer exists, so a retry would do nothing."
    if run.state in (State.QUEUED, State.RUNNING):
        return "The run goes on by itself: lost jobs are queued again within seconds."
    return "The run has ended or is paused, so a retry would do nothing. Its page offers what can be done."


def _format_time(when: Any, now: Any) -> str:
    return format_time_in_words(timezone.localtime(when), now)


def explain_job_error(error: str) -> str:
    """Say in a sentence why the job failed: the last line of its traceback, where there is no other."""
    for pattern, text in _REASONS:
        if match := re.search(pattern, error):
            return text.format(*match.groups())
    lines = error.strip().splitlines()
    name, _, message = lines[-1].partition(": ") if lines else ("", "", "")
    return message or name or "RQ has kept no reason."


def action_view(request: HttpRequest, job_id: str, verb: str) -> HttpResponse:
    """Apply the action, with its audit row: neither is there without the other."""
    if not request.user.has_perms([permissions.VIEW_QUEUE, permissions.MANAGE_QUEUE]):
        raise PermissionDenied
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    if "\0" in job_id:  # which the audit log cannot store
        raise Http404
    action = _ACTIONS[verb]
    try:
        with transaction.atomic():
            AuditLog.objects.create(
                action=action.name,
                object_type=_AUDITED_TYPE,
                object_id=job_id,
                performed_by=request.user.get_username(),
                changes={"state": {"old": "failed", "new": action.new_state}},
            )
            action.apply(job_id)
    except RedisError:
        messages.error(request, f"{REDIS_TROUBLE} Nothing was changed.")
    except OpsError as exc:
        messages.error(request, exc.reason)
    else:
        messages.success(request, action.done.format(job_id))
    return HttpResponseRedirect(reverse("admin:queue"))
