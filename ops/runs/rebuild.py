"""The operation of a run, built again from what the run has stored; and how to ask the same once more."""

from __future__ import annotations

from ops.command_lines import manage_command
from ops.exceptions import DeclarationChanged, UnknownOperation
from ops.models import Run
from ops.operations import registry
from ops.operations.base import Operation
from ops.operations.validation import build_deterministic_operation, build_operation, fingerprint
from ops.runs.advice import ALLOWED_ACTIONS, RunAction, format_run_command

REVERT = "revert"


def rebuild_operation(run: Run) -> Operation:
    """The operation as the run began with it. Raises UnknownOperation, InvalidParams, ChangedDeclaration."""
    try:
        declared = registry.get_operation(run.operation)
    except UnknownOperation as exc:
        raise UnknownOperation(exc.reason, f"Run {run.pk} needs its code: {_missing_code_hint(run)}") from exc
    operation = build_operation(declared, run.params, run.as_of)
    if fingerprint(operation) != run.version:
        build_deterministic_operation(declared, run.params, run.as_of)  # may know better why
        reason = (
            f"{run.operation} is declared otherwise than when run {run.pk} began, so that run cannot go on."
        )
        raise DeclarationChanged(reason, _restart_hint(run))
    return operation


def _missing_code_hint(run: Run) -> str:
    if RunAction.CANCEL in ALLOWED_ACTIONS[run.state]:
        return f"bring that back, or give it up: {format_run_command(run.pk, RunAction.CANCEL)}"
    return f"bring that back. To see it: {format_run_command(run.pk, RunAction.SHOW)}"


def _restart_hint(run: Run) -> str:
    start = f"tart anew ({rerun_command(run) or 'choose its rows again'})"
    if RunAction.CANCEL in ALLOWED_ACTIONS[run.state]:
        return f"Cancel it ({format_run_command(run.pk, RunAction.CANCEL)}) and s{start}"
    return f"S{start}"


def rerun_command(run: Run) -> str:
    """The command that asks the same in a new run; "" where none can, since rows were chosen by hand."""
    if run.scope.get("keys"):
        return ""
    if run.operation == REVERT:
        return format_run_command(run.params.get("run", ""), RunAction.REVERT)
    flags = [word for name, value in run.params.items() for word in _flag_arguments(name, value)]
    filters = [
        word
        for asked in run.scope.get("filter", {}).items()
        for word in ("--filter", _filter_argument(*asked))
    ]
    return manage_command("operate", run.operation, *flags, *filters)


def _filter_argument(name: str, value: str | None) -> str:
    return f"{name}__isnull=true" if value is None else f"{name}={value}"


def _flag_arguments(name: str, value: object) -> list[str]:
    if value in (None, False, ""):
        return []
    flag = f"--{name.replace('_', '-')}"
    return [flag] if value is True else [flag, str(value)]
