"""A run for machines: everything that is told of it, under names that a test holds still."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from ops import advice, outlook
from ops.advice import Step
from ops.conflicts import Conflicts
from ops.exceptions import OpsError
from ops.models import Run
from ops.operations import Revert
from ops.progress import Progress, progress_of
from ops.report.document import document
from ops.report.rows import conflict_json, failure_json
from ops.rowlist import FailedRows

# How many rows stand in the document of their run; `runs failures` and `runs conflicts` have all of them.
SHOWN = 20
_ASKED = ("params", "scope", "model", "columns", "performed_by", "without_backup")
_PACE = ("workers", "batch_size", "max_rate", "max_failures")
_TIMES = ("created_at", "started_at", "finished_at")
_OUTCOME = ("checks", "error", "error_code", "ignored_health", "silent_health")


def as_json(event: str, run: Run) -> dict[str, Any]:
    here = outlook.look(run)
    failed = FailedRows(run)
    return document(
        event,
        **progress_json(progress_of(run)),
        status=here.status,
        **{name: getattr(run, name) for name in (*_ASKED, *_PACE, *_OUTCOME)},
        follows=run.follows_id,
        **{name: _time(getattr(run, name)) for name in _TIMES},
        **hold_json(run),
        reverts=run.params.get("run") if run.operation == Revert.name else None,
        reverted_by=[each.pk for each in reverts_of(run)],
        failures=[failure_json(row) for row in failed.page(SHOWN)],
        failures_total=failed.count(),
        **_conflicts(run),
        next=[step_json(step) for step in advice.steps(here)],
    )


def progress_json(told: Progress) -> dict[str, Any]:
    return {**vars(told), "elapsed": round(told.elapsed.total_seconds(), 3)}


def hold_json(run: Run) -> dict[str, Any]:
    return {"held_until": _time(run.held_until), "held_reason": run.held_reason}


def step_json(step: Step) -> dict[str, str]:
    return step._asdict()


def reverts_of(run: Run) -> QuerySet[Run]:
    return Run.objects.filter(operation=Revert.name, params__run=run.pk).order_by("pk")


def _conflicts(run: Run) -> dict[str, Any]:
    """None where it is not known: of a revert under way, or of what is no model any more."""
    try:
        found = Conflicts(run)
    except OpsError:
        known = run.operation != Revert.name
        return {"conflicts": [] if known else None, "conflicts_total": 0 if known else None}
    rows = found.page(SHOWN)
    return {"conflicts": [conflict_json(row) for row in rows], "conflicts_total": found.count()}


def _time(when: datetime | None) -> str | None:
    return when.isoformat() if when else None
