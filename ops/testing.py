"""Preview, execute and revert operations in the tests of any project, also inside a TestCase.

Runs are executed in this process, without health indicators and without a required backup. After a
TransactionTestCase, Django's runner and pytest-django empty the audit log like any other table: see
`ops.management.commands.flush`. How to write such tests: docs/operations.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Event
from typing import Any
from unittest.mock import patch

from django.db import connection

from ops.engine.loop import run_batches
from ops.health.indicators import INDICATOR_NAMES
from ops.models import AuditLog, Run
from ops.operations import registry
from ops.operations.base import Operation
from ops.operations.revert import Revert
from ops.runs.creation import RunRequest, create_run
from ops.runs.preview import Preview, build_preview
from ops.workers.jobs import NullListener

__all__ = ["changes", "execute", "failures", "preview", "revert"]

_PERFORMED_BY = "tests"
# Settings that a batch changes until its transaction ends, which is that of the TestCase.
_SAVED_SETTINGS = (
    "application_name",
    "enable_bitmapscan",
    "enable_seqscan",
    "idle_in_transaction_session_timeout",
    "jit",
    "lock_timeout",
    "statement_timeout",
)


def preview(
    operation: type[Operation] | str, params: Mapping[str, Any] | None = None, **options: Any
) -> Preview:
    """Return what a run would do. Nothing is written.

    ``params`` are raw values, as on the command line; ``options`` are other fields of `RunRequest`, as
    ``scope``. Raises the errors of `ops.runs.preview.build_preview`.
    """
    return build_preview(_build_request(operation, params, options))


def execute(operation: type[Operation] | str, params: Mapping[str, Any] | None = None, **options: Any) -> Run:
    """Return the ended run: see its ``state``, its `changes` and its `failures`.

    Raises the error that fails it.
    """
    run = create_run(_build_request(operation, params, options))
    with _preserve_settings(), patch("ops.runs.followups.enqueue_run", return_value=""):
        run_batches(run, NullListener(), Event())
    run.refresh_from_db()
    return run


def revert(run: Run, **options: Any) -> Run:
    """Return the run that has reverted this one."""
    return execute(Revert, {"run": run.pk}, **options)


def changes(run: Run) -> dict[str, Any]:
    """Return what the run audited, by key: ``{"7": {"vat": {"old": None, "new": 20}}}``."""
    return dict(AuditLog.objects.filter(run=run).values_list("object_id", "changes"))


def failures(run: Run) -> dict[str, str]:
    """Return the errors of the failed rows, by key."""
    return dict(run.failures.values_list("object_id", "error"))


def _build_request(
    operation: type[Operation] | str, params: Mapping[str, Any] | None, options: Any
) -> RunRequest:
    name = operation if isinstance(operation, str) else operation.name
    defaults = {"ignored_health": INDICATOR_NAMES, "without_backup": True}
    return RunRequest(
        registry.get_operation(name), _PERFORMED_BY, params=params or {}, **{**defaults, **options}
    )


@contextmanager
def _preserve_settings() -> Iterator[None]:
    """Inside a TestCase, restore the settings that a batch changes, and deferred constraints."""
    nested = connection.in_atomic_block
    values = _current_settings() if nested else ()
    try:
        yield
    finally:
        if nested and not connection.needs_rollback:
            with connection.cursor() as cursor:
                for name, value in zip(_SAVED_SETTINGS, values, strict=True):
                    cursor.execute("SELECT set_config(%s, %s, true)", [name, value])
                cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def _current_settings() -> tuple[str, ...]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join('current_setting(%s)' for _ in _SAVED_SETTINGS)}", _SAVED_SETTINGS)
        return tuple(cursor.fetchone())
