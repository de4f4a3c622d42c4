"""The conflicts of a revert: the rows left alone, since they no longer stood as the run wrote them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import F, Func, JSONField, OuterRef, QuerySet, Subquery, TextField
from django.db.models.functions import Cast
from django.db.models.lookups import IsNull
from django.utils import timezone

from ops.command_lines import manage_command
from ops.db import canonical_output
from ops.exceptions import OpsError
from ops.models import AuditLog, Run
from ops.operations import registry
from ops.operations.revert import Revert
from ops.operations.scope import Scope
from ops.operations.validation import build_operation
from ops.runs.row_lists import RowList
from ops.runs.status import describe_next_step
from ops.states import State

# What a revert left alone is known at its end.
_FINISHED_STATES = (State.SUCCEEDED, State.FINISHED_WITH_FAILURES, State.VERIFICATION_FAILED)


class ConflictsUnavailable(OpsError):
    """The run is no revert, or none that has ended."""


@dataclass(frozen=True)
class Conflict:
    """A row by its key and name; by column what was there before the run, what the run wrote, what stands.

    ``gone``: there is no such row any more, and nothing stands.
    """

    object_id: str
    name: str
    columns: Mapping[str, Mapping[str, Any]]
    gone: bool


class ConflictList(RowList[Conflict]):
    """Those of a revert that has ended. Raises NoConflicts."""

    def __init__(self, run: Run) -> None:
        _check_is_finished_revert(run)
        self.run, self.revert = run, _build_revert(run)

    def count(self, after: str | None = None) -> int:
        return self._left(after).count()

    def page(self, limit: int, after: str | None = None) -> list[Conflict]:
        left = self._left(after).order_by("object_id").values_list("object_id", "changes")
        return self._named(list(left[:limit]))

    def _left(self, after: str | None) -> QuerySet[AuditLog]:
        """What the reverted run audited and the revert did not: Note [Scalar subqueries over audit rows]."""
        reverted = AuditLog.objects.filter(run=self.run, object_id=OuterRef("object_id")).values("run")
        left = AuditLog.objects.filter(IsNull(Subquery(reverted[:1]), True), run=self.revert.run)
        failed = self.run.failures.filter(object_id=OuterRef("object_id")).values("run")
        left = left.filter(IsNull(Subquery(failed[:1]), True))
        if self.run.scope.get("keys"):
            left = left.filter(object_id__in=self.run.keys.values("object_id"))
        if self.run.scope.get("filter"):
            rows = Scope.of_run(self.run).apply(self.revert.model._base_manager.all())
            left = left.filter(object_id__in=rows.values(key=Cast("pk", TextField())))
        return left if after is None else left.filter(object_id__gt=after)

    def _named(self, found: list[tuple[str, Any]]) -> list[Conflict]:
        keys = [key for key, _ in found]
        names = self.revert.get_display_names(keys)
        stand = self._stand(keys)
        return [self._conflict(key, names[key], changes, stand.get(key)) for key, changes in found]

    def _stand(self, keys: list[str]) -> dict[str, list[Any]]:
        """What the columns hold now, by key, told as the audit log tells it."""
        images = [
            Func(F(field.attname), function="to_jsonb", output_field=JSONField())
            for field in self.revert.fields
        ]
        rows = self.revert.model._base_manager.filter(pk__in=keys)
        with canonical_output():
            return {str(pk): values for pk, *values in rows.values_list("pk", *images)}

    def _conflict(self, key: str, name: str, changes: Mapping[str, Any], stand: list[Any] | None) -> Conflict:
        columns = {}
        for field, now in zip(self.revert.fields, stand or [None] * len(self.revert.fields), strict=True):
            told = changes.get(str(field.column), {})
            columns[field.name] = {"before": told.get("old"), "wrote": told.get("new"), "stands": now}
        return Conflict(key, name, columns, gone=stand is None)


def _check_is_finished_revert(run: Run) -> None:
    if run.operation != Revert.name:
        reverts = Run.objects.filter(operation=Revert.name, params__run=run.pk).order_by("pk")
        listed = "; ".join(manage_command("runs", "conflicts", each.pk) for each in reverts)
        back = manage_command("runs", "revert", run.pk)
        told = f"Those of its revert: {listed}" if listed else f"To take it back: {back}"
        raise ConflictsUnavailable(f"run {run.pk} is no revert, so it has no conflicts.", told)
    if run.state not in _FINISHED_STATES:
        told = f"run {run.pk} is {run.get_state_display()}: what a revert leaves alone is known at its end."
        raise ConflictsUnavailable(told, describe_next_step(run))


def _build_revert(run: Run) -> Revert:
    """Raises InvalidParams where the rows are of a model that is gone."""
    built = build_operation(registry.get_operation(Revert.name), run.params, timezone.now())
    if not isinstance(built, Revert):
        raise TypeError(f"{built} is no revert")
    return built
