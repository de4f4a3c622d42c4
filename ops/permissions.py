"""Permissions: one for each registered operation and each control of a run; for exports, queue and checks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps.registry import Apps
from django.apps.registry import apps as all_apps
from django.contrib.auth import get_permission_codename
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType

from ops.models import Run, StagedChange
from ops.operations import ApplyChangeSet, registry
from ops.operations.base import Operation

CONTROL_VERBS = ("pause", "resume", "cancel", "retry", "revert")
VIEW_QUEUE, MANAGE_QUEUE = "ops.view_queue", "ops.manage_queue"
VIEW_PREFLIGHT, VIEW_STATISTICS = "ops.view_preflight", "ops.view_statistics"
# To let a run start that waits for a second person.
APPROVE_PERMISSION = "ops.approve_run"
# To let everybody see a view of a list.
SHARE_VIEW = "ops.share_view"
# To request an export, to see all of them, to cancel one, and to download its files.
EXPORT_PERMISSION = "ops.export_data"
_NAMES = {
    EXPORT_PERMISSION: "Can export data",
    APPROVE_PERMISSION: "Can approve a run",
    SHARE_VIEW: "Can share a view of a list",
    VIEW_QUEUE: "Can view the queue",
    MANAGE_QUEUE: "Can retry and delete jobs of the queue",
    VIEW_PREFLIGHT: "Can view the checks before a migration",
    VIEW_STATISTICS: "Can view statistics of the database",
}


def run_permission(operation: type[Operation]) -> str:
    """Return the permission to start the operation, as for ``has_perm``."""
    return f"ops.run_{operation.name}"


def control_permission(verb: str) -> str:
    return f"ops.{verb}_run"


def required_permissions(verb: str, run: Run) -> list[str]:
    """Return the permissions for a control of this run; a retry also needs that of its operation.

    To repeat what was never approved needs what it needed at first.
    """
    if verb == "repeat":
        return start_permissions(run)
    operation = [f"ops.run_{run.operation}"] if verb == "retry" else []
    return [control_permission(verb), *operation]


def start_permissions(run: Run) -> list[str]:
    """Return the permissions of whoever starts a run like this one in the admin.

    A change set is an edit of rows, so those who may change one row may apply it.
    """
    app, _, name = run.model.partition(".")
    start = f"{app}.change_{name}" if run.operation == ApplyChangeSet.name else f"ops.run_{run.operation}"
    return [start, view_permission(run.model)]


def approval_permissions(model: str) -> list[str]:
    """Return the permissions of a second person for runs on this model: who approves sees the preview."""
    return [APPROVE_PERMISSION, view_permission(model)]


def view_permission(model: str) -> str:
    """Return the permission to view the rows of ``cards.card``."""
    app, _, name = model.partition(".")
    return f"{app}.view_{name}"


def may_control(user: Any, verb: str, run: Run) -> bool:
    """Whether the user may use this control of the run.

    Who has started a change set may stop it and take it back, while allowed to make one.
    """
    if user.has_perms(required_permissions(verb, run)):
        return True
    if run.operation != ApplyChangeSet.name or run.performed_by != user.get_username() or verb == "retry":
        return False
    try:
        return bool(user.has_perms(_row_permissions(run)))
    except LookupError:  # its model no longer exists
        return False


def _row_permissions(run: Run) -> list[str]:
    """Return the permissions to change the rows of a change set, and to delete those that it created."""
    opts = all_apps.get_model(run.model)._meta
    new_rows = StagedChange.objects.filter(change_set=run.params["change_set"], is_new=True)
    actions = ["change", "delete"] if new_rows.exists() else ["change"]
    return [f"{opts.app_label}.{get_permission_codename(action, opts)}" for action in actions]


def create_permissions(using: str, apps: Apps = all_apps, **_: Any) -> None:
    """Create the missing permissions. Called after every migration and flush."""
    try:
        apps.get_model("auth", "Permission")
    except LookupError:  # a later migration creates its table
        return
    ContentType.objects.clear_cache()  # after a flush they have other primary keys
    runs = ContentType.objects.db_manager(using).get_for_model(Run)
    Permission.objects.using(using).bulk_create(
        [
            Permission(content_type=runs, codename=codename, name=name)
            for codename, name in _iter_permissions()
        ],
        ignore_conflicts=True,
    )


def _iter_permissions() -> Iterator[tuple[str, str]]:
    for operation in registry.list_operations():
        yield run_permission(operation).removeprefix("ops."), f"Can run {operation.name}"
    for verb in CONTROL_VERBS:
        yield control_permission(verb).removeprefix("ops."), f"Can {verb} a run"
    for permission, name in _NAMES.items():
        yield permission.removeprefix("ops."), name
