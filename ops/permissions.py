"""Permissions: one for each registered operation, one for each control of a run, and one for exports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps.registry import Apps
from django.apps.registry import apps as all_apps
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType

from ops.models import Run
from ops.operations import registry
from ops.operations.base import Operation

CONTROL_VERBS = ("pause", "resume", "cancel", "retry", "revert")
# To request an export, to see all of them, to cancel one, and to download its files.
EXPORT_PERMISSION = "ops.export_data"


def run_permission(operation: type[Operation]) -> str:
    """Return the permission to start the operation, as for ``has_perm``."""
    return f"ops.run_{operation.name}"


def control_permission(verb: str) -> str:
    return f"ops.{verb}_run"


def required_permissions(verb: str, run: Run) -> list[str]:
    """Return the permissions for a control of this run; a retry also needs that of its operation."""
    operation = [f"ops.run_{run.operation}"] if verb == "retry" else []
    return [control_permission(verb), *operation]


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
    yield EXPORT_PERMISSION.removeprefix("ops."), "Can export data"
