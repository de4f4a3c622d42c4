"""Operations in the tests of any project: previewed, executed and taken back, inside a TestCase too.

They are executed here, by this process, whatever a health indicator or the demand for a backup says. After a
TransactionTestCase, Django's runner and pytest-django empty the audit log as any other table: see
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
from ops.health.indicators import INDICATOR_NAMES as INDICATORS
from ops.models import AuditLog, Run
from ops.operations import registry
from ops.operations.base import Operation
from ops.operations.revert import Revert
from ops.runs import creation
from ops.runs import preview as previews
from ops.runs.creation import RunRequest
from ops.runs.preview import Preview
from ops.workers.jobs import NullListener

__all__ = ["changes", "execute", "failures", "preview", "revert"]

_PERFORMED_BY = "tests"
# What a batch sets until the end of its transaction, which is that of a TestCase.
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
    operation: type[Operation] | str, params: Mapping[str, Any] | None = None, **asked: Any
) -> Preview:
    """What a run would do, which writes nothing.

    ``params`` are raw, as the command line gives them; ``asked`` is what else a `Request` takes: ``scope``.
    Raises what the preview of the command raises.
    """
    return previews.build_preview(_build_request(operation, params, asked))


def execute(operation: type[Operation] | str, params: Mapping[str, Any] | None = None, **asked: Any) -> Run:
    """The run at its end: look at its ``state``, its `changes` and its `failures`.

    Raises the error that fails it.
    """
    run = creation.create_run(_build_request(operation, params, asked))
    with _preserve_settings(), patch("ops.runs.followups.enqueue_run", return_value=""):
        run_batches(run, NullListener(), Event())
    run.refresh_from_db()
    return run


def revert(run: Run, **asked: Any) -> Run:
    """Take the run back, in a new one."""
    return execute(Revert, {"run": run.pk}, **asked)


def changes(run: Run) -> dict[str, Any]:
    """What the run audited, by key: ``{"7": {"vat": {"old": None, "new": 20}}}``."""
    return dict(AuditLog.objects.filter(run=run).values_list("object_id", "changes"))


def failures(run: Run) -> dict[str, str]:
    """Why rows failed, by key."""
    return dict(run.failures.values_list("object_id", "error"))


def _build_request(
    operation: type[Operation] | str, params: Mapping[str, Any] | None, asked: Any
) -> RunRequest:
    name = operation if isinstance(operation, str) else operation.name
    always = {"ignored_health": INDICATORS, "without_backup": True}
    return RunRequest(registry.get_operation(name), _PERFORMED_BY, params=params or {}, **{**always, **asked})


@contextmanager
def _preserve_settings() -> Iterator[None]:
    """Inside a TestCase, the rest of it waits for locks as before, and defers its foreign keys again."""
    nested = connection.in_atomic_block
    before = _current_settings() if nested else ()
    try:
        yield
    finally:
        if nested and not connection.needs_rollback:
            with connection.cursor() as cursor:
                for name, value in zip(_SAVED_SETTINGS, before, strict=True):
                    cursor.execute("SELECT set_config(%s, %s, true)", [name, value])
                cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def _current_settings() -> tuple[str, ...]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join('current_setting(%s)' for _ in _SAVED_SETTINGS)}", _SAVED_SETTINGS)
        return tuple(cursor.fetchone())
