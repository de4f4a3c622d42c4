"""Who may do what: a permission for each registered operation, for each control of a run, and for exports."""

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
# To ask for an export, to see all of them, to cancel one, and to have its files.
EXPORT_PERMISSION = "ops.export_data"


def run_permission(operation: type[Operation]) -> str:
    """The permission to start the operation, as ``has_perm`` takes it."""
    return f"ops.run_{operation.name}"


def control_permission(verb: str) -> str:
    return f"ops.{verb}_run"


def required_permissions(verb: str, run: Run) -> list[str]:
    """All that is needed to use a control of this run: to retry it is to start its operation again."""
    started = [f"ops.run_{run.operation}"] if verb == "retry" else []
    return [control_permission(verb), *started]


def create_permissions(using: str, apps: Apps = all_apps, **_: Any) -> None:
    """After every migration and flush: a new operation has its permission from then on."""
    try:
        apps.get_model("auth", "Permission")
    except LookupError:  # its table comes with a later migration
        return
    ContentType.objects.clear_cache()  # the flush gives them other numbers
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
