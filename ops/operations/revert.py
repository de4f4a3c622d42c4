"""The operation that reverts a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, NoReturn

from django import forms
from django.apps import apps
from django.core.exceptions import NON_FIELD_ERRORS, FieldDoesNotExist
from django.db import DatabaseError, transaction
from django.db.models import Model, OuterRef, QuerySet, Subquery, Sum
from django.db.models.lookups import IsNull

from ops.command_lines import manage_command
from ops.exceptions import InvalidParams, OpsError
from ops.formatting import first_line, format_row_count
from ops.models import AuditLog, ColumnChangeEvent, Run
from ops.operations import registry
from ops.operations.apply_change_set import find_display_field, pair_followers, read_followers
from ops.operations.base import Operation
from ops.operations.cell_notes import iter_cell_notes
from ops.operations.prepared_rows import PreparedRows
from ops.operations.registry import register
from ops.sql.audited import (
    changed_audit_rows,
    is_unchanged_since_run,
    lacks_audited_column,
    old_value,
    validate_audited_values,
)
from ops.sql.cells import Cells
from ops.sql.compile import get_model_fields, is_json
from ops.sql.keylist import KeyList
from ops.sql.types import find_changed_types, read_column_types
from ops.sqlstates import sqlstate
from ops.states import State

_CONFLICT_SAMPLE_SIZE = 5
# Data exceptions, a domain that forbids the value, and what an extension's type calls a syntax error.
_CAST_ERROR_CLASSES = ("22", "23", "42", "XX")
# The steps after which a column change relies on its new column; constrain taken back is not one of them.
_FULL_STEPS = ("constrain", "switch", "retire", "drop")
_CONFLICT_NOTE_STATES = (State.SUCCEEDED, State.FINISHED_WITH_FAILURES)


class RevertParams(forms.Form):
    run = forms.IntegerField(help_text="Number of the run to revert.")

    def clean_run(self) -> Run:
        number: int = self.cleaned_data["run"]
        run = Run.objects.filter(pk=number).first()
        if run is None:
            raise forms.ValidationError(
                f"There is no run {number}. To list the runs: {manage_command('runs')}"
            )
        try:
            get_model_fields(apps.get_model(run.model), run.columns)
        except LookupError as exc:
            raise forms.ValidationError(
                f"Run {number} changed {run.model}, and there is no such model any more."
            ) from exc
        except FieldDoesNotExist as exc:
            raise forms.ValidationError(f"Run {number} cannot be reverted: {exc}.") from exc
        return run


@register
class Revert(Operation):
    """Restore the values that a run changed, in each row that nobody has changed since."""

    name = "revert"
    Params = RevertParams
    example = None  # Its model is that of the run to revert, so it is validated when it is built.

    def __init__(self, params: Mapping[str, Any], as_of: datetime) -> None:
        super().__init__(params, as_of)
        self.run: Run = params["run"]
        self.model = apps.get_model(self.run.model)
        self.columns = self.run.columns
        self.fields = get_model_fields(self.model, self.run.columns)
        types = read_column_types(self.model, self.fields)
        self.changed_types = find_changed_types(self.run.types, types)
        self.column_types = {name: kind for name, kind in types.items() if name not in self.changed_types}
        origin = _find_origin(self.run)
        self.display_field = _find_display_field(origin, self.model)
        self.is_by_cell = origin is not None and _is_by_cell(origin)
        self.followers = read_followers(origin) if origin else {}
        self.key_list: KeyList = KeyList(AuditLog, self.run.pk)
        if self.is_by_cell:
            self.key_list = KeyList(AuditLog, self.run.pk, without=self.model._meta.pk.column)
            self.prepared_rows = PreparedRows(self.model, self.key_list, is_revert=True)

    def get_queryset(self) -> QuerySet[Any]:
        if self.is_by_cell:
            return self.cells.join(self.model).filter(self.cells.is_any_writable())
        rows = self.key_list.join(self.model._base_manager.all())
        return rows.filter(is_unchanged_since_run(self.key_list, self.fields, self.column_types))

    def get_changes(self) -> Mapping[str, Any]:
        if self.is_by_cell:
            return {field.name: self.cells.new_value(field) for field in self.fields}
        return {field.name: old_value(self.key_list, field, self.column_types) for field in self.fields}

    @cached_property
    def cells(self) -> Cells:
        """The cells that the run wrote, each of which goes back where it is still as the run wrote it."""
        return Cells(
            self.key_list,
            self.fields,
            self.column_types,
            seen="new",
            wanted="old",
            followers=pair_followers(self.fields, self.followers),
        )

    def prepare(self, run: Run) -> Iterator[int]:
        if self.prepared_rows:
            yield from self.prepared_rows.write(run)

    def check_preconditions(self) -> None:
        """Raise InvalidParams if a column change goes by the new values, or the old ones do not fit."""
        self._require_not_relied_on()
        fields = [field for field in self.fields if field.column in self.changed_types]
        for field in fields:
            then, now = self.changed_types[str(field.column)]
            if not then if self.is_by_cell else lacks_audited_column(self.run.pk, field):
                self._raise_not_revertible(f"it did not write {field.column!r}, as the column is called now")
            if then and is_json(field) != then.startswith("json"):
                self._raise_not_revertible(
                    f"{field.column} was {then} and is {now} now, and a JSON null is no SQL NULL"
                )
        try:
            with transaction.atomic():
                validate_audited_values(self.run.pk, fields)
        except DatabaseError as exc:
            if sqlstate(exc)[:2] not in _CAST_ERROR_CLASSES:
                raise
            reason = first_line(exc) + self._describe_changed_types()
            self._raise_not_revertible(f"a value does not fit its column any more: {reason}")

    def _require_not_relied_on(self) -> None:
        """Raise InvalidParams for a backfill of a column change that has been constrained.

        From there on the column must stay full: readers use it, and the drop keeps nothing else.
        """
        events = ColumnChangeEvent.objects
        fills = events.filter(step="backfill", is_back=False, run__operation=self.run.operation)
        for change in fills.values_list("change", flat=True).distinct():
            last = events.filter(change=change).latest("pk")
            if last.step in _FULL_STEPS[last.is_back :]:
                back = manage_command("column_change", change, "back")
                self._raise_not_revertible(
                    f"the column change {change} relies on its values. If {change} has not been dropped, take"
                    f" its steps back to backfill first: {back}"
                )

    def _raise_not_revertible(self, reason: str) -> NoReturn:
        raise InvalidParams({NON_FIELD_ERRORS: [f"Run {self.run.pk} cannot be reverted: {reason}."]})

    def get_notes(self, run: Run | None) -> Iterable[str]:
        """Yield the numbers of rows that stay as they are: reverted before, or changed after the run."""
        if self.is_by_cell:
            yield from self.prepared_rows.iter_notes(run)
            since = f"after run {self.run.pk}"
            yield from iter_cell_notes(self.cells, self.model, run, done="reverted", since=since)
            return
        conflicts = self._count_conflicts(run)
        reverts = self._list_earlier_reverts(run) if conflicts else []
        for revert in reverts:
            count = min(conflicts, AuditLog.objects.filter(run=revert).count())
            conflicts -= count
            if count:
                rows = format_row_count(self.model, count)
                yield f"Run {revert.pk} already reverted {rows} of run {self.run.pk}."
        if conflicts:
            sample = self.get_display_names(self._sample_conflict_keys(run, reverts)).values()
            yield self._format_conflicts(conflicts, list(sample), is_preview=run is None)

    def _format_conflicts(self, count: int, sample: list[str], is_preview: bool) -> str:
        was, they = ("was", "it") if count == 1 else ("were", "they")
        end = "will not be" if is_preview else f"{was} not"
        rows = f"{format_row_count(self.model, count)} {was} changed or deleted after run {self.run.pk}"
        introduction = ": " if count == 1 else ", such as "
        names = introduction + ", ".join(sample) if sample else ""
        return f"{rows}, so {they} {end} reverted{names}{self._describe_changed_types()}"

    def _list_earlier_reverts(self, run: Run | None) -> list[Run]:
        """Return the other reverts of the run, without those that were reverted themselves."""
        reverts = find_reverts(self.run.pk)
        if run is not None:
            reverts = reverts.filter(pk__lt=run.pk)
        audited = AuditLog.objects.all()
        return [each for each in reverts if not audited.filter(run__in=find_reverts(each.pk)).exists()]

    def _describe_changed_types(self) -> str:
        """A row may differ from its audit row only because its column has another type now."""
        changes = [
            f"{column} was {then} and is {now} now"
            for column, (then, now) in self.changed_types.items()
            if then not in ("", now)
        ]
        return f" ({', '.join(changes)})" if changes else ""

    def _count_conflicts(self, run: Run | None) -> int:
        if run is None:
            return changed_audit_rows(self.run.pk, self.fields).count() - self.get_queryset().count()
        # Rows that an active run has not reached, or that are out of its scope, are no conflicts.
        if run.state not in _CONFLICT_NOTE_STATES or run.scope.get("filter") or run.scope.get("keys"):
            return 0
        # The counters of the lanes are read at once; audit rows, of which there may be millions, are counted
        # only where some are left.
        left = _count_changed(self.run) - _count_changed(run) - run.failures.count()
        if left <= 0:
            return 0
        audited = changed_audit_rows(self.run.pk, self.fields).count()
        return audited - AuditLog.objects.filter(run=run).count() - run.failures.count()

    def _sample_conflict_keys(self, run: Run | None, reverts: Iterable[Run]) -> list[str]:
        """For the subquery see Note [Scalar subqueries over audit rows]."""
        if run is None:
            return []
        runs = [run.pk, *(each.pk for each in reverts)]
        reverted = AuditLog.objects.filter(run__in=runs, object_id=OuterRef("object_id")).values("run")
        rows = changed_audit_rows(self.run.pk, self.fields).filter(IsNull(Subquery(reverted[:1]), True))
        return list(rows.order_by("pk").values_list("object_id", flat=True)[:_CONFLICT_SAMPLE_SIZE])


def _count_changed(run: Run) -> int:
    changed: int = run.lanes.aggregate(changed=Sum("changed", default=0))["changed"]
    return changed


def _find_origin(run: Run) -> Run | None:
    """Return the run whose changes the run reverts, or restores: itself, if it is no revert."""
    origin: Run | None = run
    while origin is not None and origin.operation == Revert.name:
        origin = Run.objects.filter(pk=origin.params.get("run"), pk__lt=origin.pk).first()
    return origin


def _find_display_field(origin: Run | None, model: type[Model]) -> str:
    """Return the display field of the operation; of one without a model of its own, that of the model."""
    try:
        operation = registry.get_operation(origin.operation) if origin else Revert
    except OpsError:
        return "pk"
    return operation.display_field if operation.example is not None else find_display_field(model)


def _is_by_cell(run: Run) -> bool:
    try:
        return registry.get_operation(run.operation).is_by_cell
    except OpsError:
        return False


def find_reverts(*numbers: int) -> QuerySet[Run]:
    """Return the reverts of the runs with these numbers, which `operate` stores as text."""
    reverted = [*numbers, *map(str, numbers)]
    reverts = Run.objects.filter(operation=Revert.name, params__run__in=reverted, pk__gt=min(numbers))
    return reverts.order_by("pk")


def get_reverted_run(run: Run) -> int | None:
    """Return the number of the run that this run reverts; None if it is no revert."""
    number = str(run.params.get("run")) if run.operation == Revert.name else ""
    return int(number) if number.isdecimal() else None
