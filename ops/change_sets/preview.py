"""What a change set would do now: old and new values page by page, and its conflicts."""

from __future__ import annotations

from django.utils import timezone

from ops.models import ChangeSet, Run
from ops.operations import ApplyChangeSet
from ops.operations.validation import build_operation
from ops.runs.cell_states import CellReader


def read_change_set(change_set: ChangeSet, *, overwrite: bool = False) -> CellReader:
    """Return the reader of its cells as they stand now.

    With ``overwrite`` no cell of an existing row is a conflict. Raises InvalidParams if its model or a column
    is gone.
    """
    params = {"change_set": change_set.pk, "overwrite": overwrite}
    operation = build_operation(ApplyChangeSet, params, timezone.now())
    if not isinstance(operation, ApplyChangeSet):
        raise TypeError(f"{operation} applies no change set")
    return CellReader(operation)


def list_runs(change_set: ChangeSet) -> list[Run]:
    """Return the runs that have applied the change set, or that shall."""
    numbers = [change_set.pk, str(change_set.pk)]
    runs = Run.objects.filter(operation=ApplyChangeSet.name, params__change_set__in=numbers)
    return list(runs.order_by("pk"))
