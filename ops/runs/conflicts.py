"""The conflicts of a revert: rows that it left alone, since they were changed after the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import F, Func, JSONField, OuterRef, QuerySet, Subquery, TextField
from django.db.models.functions import Cast
from django.db.models.lookups import In, IsNull
from django.utils import timezone

from ops.command_lines import manage_command
from ops.db import canonical_output
from ops.exceptions import OpsError
from ops.models import AuditLog, Run
from ops.operations import registry
from ops.operations.revert import Revert, find_reverts
from ops.operations.scope import Scope
from ops.operations.validation import build_operation
from ops.runs.row_lists import RowList
from ops.runs.status import describe_next_step
from ops.sql.audit_search import in_index_order
from ops.sql.audited import changed_audit_rows
from ops.states import COMPLETED

# Rows of a run that are looked at together, and how often for one page.
_CHUNK_SIZE, _MAX_CHUNKS = 2_000, 10


class ConflictsUnavailable(OpsError):
    """The run is not a revert, or has not finished."""


@dataclass(frozen=True)
class Conflict:
    """A row with its key and display name.

    ``columns`` holds by field name the value ``before`` the run, the one that the run ``wrote``, and the one
    that ``stands`` now, in this order; the last is None where the row ``is_deleted``. Of a change set they
    are the values that were ``seen``, that are ``wanted``, and that ``stands``.
    """

    object_id: str
    name: str
    columns: Mapping[str, Mapping[str, Any]]
    is_deleted: bool


@dataclass(frozen=True)
class ConflictReader:
    """Makes conflicts of audit rows, given as pairs of a key and its changes."""

    revert: Revert

    def read(self, audited: list[tuple[str, Any]]) -> list[Conflict]:
        keys = [key for key, _ in audited]
        names = self.revert.get_display_names(keys)
        current = self._current_values(keys)
        return [self._build_conflict(key, names[key], changes, current.get(key)) for key, changes in audited]

    def _current_values(self, keys: list[str]) -> dict[str, list[Any]]:
        """The values of the columns now, by key, as the audit log writes them."""
        images = [
            Func(F(field.attname), function="to_jsonb", output_field=JSONField())
            for field in self.revert.fields
        ]
        rows = self.revert.model._base_manager.filter(pk__in=keys)
        with canonical_output():
            return {str(pk): values for pk, *values in rows.values_list("pk", *images)}

    def _build_conflict(
        self, key: str, name: str, changes: Mapping[str, Any], values: list[Any] | None
    ) -> Conflict:
        columns = {}
        for field, now in zip(self.revert.fields, values or [None] * len(self.revert.fields), strict=True):
            change = changes.get(str(field.column), {})
            columns[field.name] = {"before": change.get("old"), "wrote": change.get("new"), "stands": now}
        return Conflict(key, name, columns, is_deleted=values is None)


class ConflictList(RowList[Conflict]):
    """The conflicts of a finished revert. Raises ConflictsUnavailable for any other run."""

    def __init__(self, run: Run) -> None:
        _check_is_finished_revert(run)
        self.run, self.revert = run, _build_revert(run.params)

    def count(self, after: str | None = None) -> int:
        return self._conflict_rows(after).count()

    def page(self, limit: int, after: str | None = None) -> list[Conflict]:
        rows = self._conflict_rows(after).order_by("object_id").values_list("object_id", "changes")
        return ConflictReader(self.revert).read(list(rows[:limit]))

    def _conflict_rows(self, after: str | None) -> QuerySet[AuditLog]:
        """The audit rows of the run without one of the revert: Note [Scalar subqueries over audit rows]."""
        reverted = AuditLog.objects.filter(run=self.run, object_id=OuterRef("object_id")).values("run")
        rows = AuditLog.objects.filter(IsNull(Subquery(reverted[:1]), True), run=self.revert.run)
        failed = self.run.failures.filter(object_id=OuterRef("object_id")).values("run")
        rows = rows.filter(IsNull(Subquery(failed[:1]), True))
        if self.run.scope.get("keys"):
            rows = rows.filter(object_id__in=self.run.keys.values("object_id"))
        if self.run.scope.get("filter"):
            in_scope = Scope.of_run(self.run).apply(self.revert.model._base_manager.all())
            rows = rows.filter(object_id__in=in_scope.values(key=Cast("pk", TextField())))
        return rows if after is None else rows.filter(object_id__gt=after)


@dataclass(frozen=True)
class ConflictPage:
    """``cursor`` is the key after which the search goes on; "" where the run has no more rows."""

    conflicts: list[Conflict]
    cursor: str


class ExpectedConflicts:
    """The rows that a revert of the run would leave alone now. Raises InvalidParams if it has no revert.

    No index finds them, so a page looks at _MAX_CHUNKS times _CHUNK_SIZE rows of the run at most.
    """

    def __init__(self, run: Run) -> None:
        self.run, self.revert = run, _build_revert({"run": run.pk})

    def page(self, limit: int, after: str = "") -> ConflictPage:
        conflicts: list[Conflict] = []
        for _ in range(_MAX_CHUNKS):
            audited = self._read_audited(after)
            conflicts += self._find_conflicts(audited)
            if len(conflicts) > limit:
                return ConflictPage(conflicts[:limit], conflicts[limit - 1].object_id)
            if len(audited) < _CHUNK_SIZE:
                return ConflictPage(conflicts, "")
            after = audited[-1][0]
        return ConflictPage(conflicts, after)

    def _read_audited(self, after: str) -> list[tuple[str, Any]]:
        rows = changed_audit_rows(self.run.pk, self.revert.fields).order_by("object_id")
        if after:
            rows = rows.filter(object_id__gt=after)
        with in_index_order():
            return list(rows.values_list("object_id", "changes")[:_CHUNK_SIZE])

    def _find_conflicts(self, audited: list[tuple[str, Any]]) -> list[Conflict]:
        keys = [key for key, _ in audited]
        listed = self.revert.key_list.column("object_id", TextField())
        with canonical_output():
            # Both sides of the join are narrowed: the planner does not conclude the one from the other.
            found = self.revert.get_queryset().filter(In(listed, keys), pk__in=keys)
            restorable = {str(pk) for pk in found.values_list("pk", flat=True)}
        left = [(key, changes) for key, changes in audited if key not in restorable]
        conflicts = ConflictReader(self.revert).read(left) if left else []
        return [conflict for conflict in conflicts if not _is_restored(conflict)]


def _is_restored(conflict: Conflict) -> bool:
    """Whether the row has its old values again, as after an earlier revert."""
    values = conflict.columns.values()
    return not conflict.is_deleted and all(value["stands"] == value["before"] for value in values)


def _check_is_finished_revert(run: Run) -> None:
    if run.operation != Revert.name:
        reverts = find_reverts(run.pk)
        commands = "; ".join(manage_command("runs", "conflicts", each.pk) for each in reverts)
        show = manage_command("runs", "show", run.pk)
        hint = f"To list those of its revert: {commands}" if commands else f"To see run {run.pk}: {show}"
        raise ConflictsUnavailable(
            f"Run {run.pk} is not a revert; only a revert or a change set has conflicts.", hint
        )
    if run.state not in COMPLETED:
        reason = f"Run {run.pk} is {run.get_state_display()}: its conflicts are known when it has finished."
        raise ConflictsUnavailable(reason, describe_next_step(run))


def _build_revert(params: Mapping[str, Any]) -> Revert:
    """Raises InvalidParams if the run cannot be reverted, as where its model no longer exists."""
    revert = build_operation(registry.get_operation(Revert.name), params, timezone.now())
    if not isinstance(revert, Revert):
        raise TypeError(f"{revert} is no Revert")
    return revert
