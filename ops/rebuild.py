"""The operation of a run, built again from what the run has stored; and how to ask the same once more."""

from __future__ import annotations

from ops import registry
from ops.advice import WORKS, Verb, command
from ops.declaration import build, build_steady, fingerprint
from ops.exceptions import ChangedDeclaration, UnknownOperation
from ops.models import Run
from ops.operation import Operation
from ops.typed import manage

REVERT = "revert"


def operation_of(run: Run) -> Operation:
    """The operation as the run began with it. Raises UnknownOperation, InvalidParams, ChangedDeclaration."""
    try:
        declared = registry.get(run.operation)
    except UnknownOperation as exc:
        raise UnknownOperation(exc.reason, f"Run {run.pk} needs its code: {_without_code(run)}") from exc
    operation = build(declared, run.params, run.as_of)
    if fingerprint(operation) != run.version:
        build_steady(declared, run.params, run.as_of)  # may know better why
        reason = (
            f"{run.operation} is declared otherwise than when run {run.pk} began, so that run cannot go on."
        )
        raise ChangedDeclaration(reason, _instead(run))
    return operation


def _without_code(run: Run) -> str:
    if Verb.CANCEL in WORKS[run.state]:
        return f"bring that back, or give it up: {command(run.pk, Verb.CANCEL)}"
    return f"bring that back. To see it: {command(run.pk, Verb.SHOW)}"


def _instead(run: Run) -> str:
    start = f"tart anew ({anew(run) or 'choose its rows again'})"
    if Verb.CANCEL in WORKS[run.state]:
        return f"Cancel it ({command(run.pk, Verb.CANCEL)}) and s{start}"
    return f"S{start}"


def anew(run: Run) -> str:
    """The command that asks the same in a new run; "" where none can, since rows were chosen by hand."""
    if run.scope.get("keys"):
        return ""
    if run.operation == REVERT:
        return command(run.params.get("run", ""), Verb.REVERT)
    flags = [word for name, value in run.params.items() for word in _flag(name, value)]
    filters = [
        word for asked in run.scope.get("filter", {}).items() for word in ("--filter", _filter(*asked))
    ]
    return manage("operate", run.operation, *flags, *filters)


def _filter(name: str, value: str | None) -> str:
    return f"{name}__isnull=true" if value is None else f"{name}={value}"


def _flag(name: str, value: object) -> list[str]:
    if value in (None, False, ""):
        return []
    flag = f"--{name.replace('_', '-')}"
    return [flag] if value is True else [flag, str(value)]
