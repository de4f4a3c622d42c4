"""A run as a JSON document, for programs. Its keys are part of the output format (see document.py)."""

from __future__ import annotations

from typing import Any

from ops.exceptions import OpsError
from ops.models import Run
from ops.operations import ApplyChangeSet, Revert
from ops.operations.revert import find_reverts, get_reverted_run
from ops.report.approval import approval_json
from ops.report.document import build_document, isoformat
from ops.report.rows import conflict_json, failure_json
from ops.runs.cell_conflicts import build_conflict_list
from ops.runs.next_steps import Step, list_next_steps
from ops.runs.progress import Progress, read_progress
from ops.runs.row_lists import FailedRows
from ops.runs.status import read_run_status

# How many rows a run's document lists; `runs failures` and `runs conflicts` list all of them.
MAX_LISTED_ROWS = 20
_REQUEST_FIELDS = ("params", "scope", "model", "columns", "performed_by", "without_backup")
_THROUGHPUT_FIELDS = ("workers", "batch_size", "max_rate", "max_failures")
_TIME_FIELDS = ("created_at", "started_at", "finished_at")
_OUTCOME_FIELDS = ("checks", "error", "error_code", "ignored_health", "silent_health")


def run_document(event: str, run: Run) -> dict[str, Any]:
    status = read_run_status(run)
    failed = FailedRows(run)
    return build_document(
        event,
        **progress_json(read_progress(run)),
        status=status.status,
        **{name: getattr(run, name) for name in (*_REQUEST_FIELDS, *_THROUGHPUT_FIELDS, *_OUTCOME_FIELDS)},
        follows=run.follows_id,
        origin=run.origin,
        approval=approval_json(run),
        **{name: isoformat(getattr(run, name)) for name in _TIME_FIELDS},
        **hold_json(run),
        reverts=get_reverted_run(run),
        reverted_by=[each.pk for each in find_reverts(run.pk)],
        failures=[failure_json(row) for row in failed.page(MAX_LISTED_ROWS)],
        failures_total=failed.count(),
        **_conflicts_json(run),
        next=[step_json(step) for step in list_next_steps(status)],
    )


def progress_json(progress: Progress) -> dict[str, Any]:
    return {**vars(progress), "elapsed": round(progress.elapsed.total_seconds(), 3)}


def hold_json(run: Run) -> dict[str, Any]:
    return {"held_until": isoformat(run.held_until), "held_reason": run.held_reason}


def step_json(step: Step) -> dict[str, str]:
    return step._asdict()


def _conflicts_json(run: Run) -> dict[str, Any]:
    """Return the conflicts; None values while the revert or change set is active, or if its model is gone."""
    try:
        conflicts = build_conflict_list(run)
    except OpsError:
        may_have_some = run.operation in (ApplyChangeSet.name, Revert.name)
        return {"conflicts": None if may_have_some else [], "conflicts_total": None if may_have_some else 0}
    rows = conflicts.page(MAX_LISTED_ROWS)
    return {"conflicts": [conflict_json(row) for row in rows], "conflicts_total": conflicts.count()}
