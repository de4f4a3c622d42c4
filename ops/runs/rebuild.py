"""The operation of a run, built again from what the run has stored."""

from __future__ import annotations

from ops.exceptions import DeclarationChanged, UnknownOperation
from ops.models import Run
from ops.operations import registry
from ops.operations.base import Operation
from ops.operations.validation import build_deterministic_operation, build_operation, fingerprint
from ops.runs.next_steps import ALLOWED_ACTIONS, RunAction, format_run_command, rerun_command


def rebuild_operation(run: Run) -> Operation:
    """Return the operation as it was when the run began.

    Raises UnknownOperation, InvalidParams, or DeclarationChanged.
    """
    try:
        declared = registry.get_operation(run.operation)
    except UnknownOperation as exc:
        raise UnknownOperation(exc.reason, f"Run {run.pk} needs its code: {_missing_code_hint(run)}") from exc
    operation = build_operation(declared, run.params, run.as_of)
    if fingerprint(operation) != run.version:
        build_deterministic_operation(declared, run.params, run.as_of)  # its error, if any, is more exact
        reason = (
            f"The code of {run.operation} changed after run {run.pk} began, so the run cannot be resumed."
        )
        raise DeclarationChanged(reason, _restart_hint(run))
    return operation


def _missing_code_hint(run: Run) -> str:
    if RunAction.CANCEL in ALLOWED_ACTIONS[run.state]:
        return f"restore that, or cancel the run: {format_run_command(run.pk, RunAction.CANCEL)}"
    return f"restore that. To see it: {format_run_command(run.pk, RunAction.SHOW)}"


def _restart_hint(run: Run) -> str:
    start = f"tart again ({rerun_command(run) or 'choose its rows again'})"
    if RunAction.CANCEL in ALLOWED_ACTIONS[run.state]:
        return f"Cancel it ({format_run_command(run.pk, RunAction.CANCEL)}) and s{start}"
    return f"S{start}"
