"""The operation that writes the cells of a change set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.apps import apps
from django.contrib.auth import get_permission_codename
from django.core.exceptions import NON_FIELD_ERRORS, FieldDoesNotExist
from django.db.models import Field, Model, QuerySet

from ops.exceptions import InvalidParams
from ops.models import ChangeSet, Run, StagedChange
from ops.operations import registry
from ops.operations.base import Operation
from ops.operations.cell_notes import iter_cell_notes
from ops.operations.prepared_rows import PreparedRows
from ops.operations.registry import register
from ops.sql.cells import Cells
from ops.sql.compile import get_model_fields
from ops.sql.keylist import KeyList
from ops.sql.types import find_changed_types, read_column_types
from ops.users import find_user


class ChangeSetParams(forms.Form):
    change_set = forms.IntegerField(help_text="Number of the change set to apply.")
    overwrite = forms.BooleanField(
        required=False, help_text="Also write the cells that somebody has changed since they were seen."
    )

    def clean_change_set(self) -> ChangeSet:
        number: int = self.cleaned_data["change_set"]
        change_set = ChangeSet.objects.filter(pk=number).first()
        if change_set is None:
            raise forms.ValidationError(f"There is no change set {number}.")
        try:
            get_model_fields(apps.get_model(change_set.model), change_set.columns)
        except (LookupError, FieldDoesNotExist) as exc:
            raise forms.ValidationError(f"Change set {number} cannot be applied: {exc}.") from exc
        return change_set


# Note [Who may apply a change set]
# Its maker must still be allowed to change the rows when a run of it is created, and when a process takes the
# run up. Else it is refused, and kept: it can be applied once the permission is back.
@register
class ApplyChangeSet(Operation):
    """Write edited cells, each where it still has the value that was seen."""

    name = "apply_change_set"
    Params = ChangeSetParams
    example = None  # Its model is that of the change set, so it is validated when it is built.
    is_by_cell = True

    def __init__(self, params: Mapping[str, Any], as_of: datetime) -> None:
        super().__init__(params, as_of)
        self.change_set: ChangeSet = params["change_set"]
        self.model = apps.get_model(self.change_set.model)
        self.cells = build_cells(self.change_set, overwrite=params.get("overwrite", False))
        self.key_list = self.cells.key_list
        self.columns = [field.name for field in self.cells.columns]
        self.display_field = find_display_field(self.model)
        self.prepared_rows = PreparedRows(self.model, self.key_list)
        self.audit_metadata = {"overwrite": True} if self.cells.overwrite else None

    def get_queryset(self) -> QuerySet[Any]:
        return self.cells.join(self.model).filter(self.cells.is_any_writable())

    def get_changes(self) -> Mapping[str, Any]:
        return {field.name: self.cells.new_value(field) for field in self.cells.columns}

    def check_preconditions(self) -> None:
        require_permission(self.change_set)

    def prepare(self, run: Run) -> Iterator[int]:
        require_permission(self.change_set)
        yield from self.prepared_rows.write(run)

    def get_notes(self, run: Run | None) -> Iterable[str]:
        """Yield how many rows are created, and how many cells stay as they are."""
        yield from self.prepared_rows.iter_notes(run)
        yield from iter_cell_notes(self.cells, self.model, run, done="written", since="by others since")


def build_cells(change_set: ChangeSet, *, overwrite: bool = False) -> Cells:
    """Return the cells of the change set. Raises LookupError or FieldDoesNotExist."""
    model = apps.get_model(change_set.model)
    followers = {name for name in change_set.followers if name in _field_names(model)}
    columns = get_model_fields(model, [*change_set.columns, *sorted(followers)])
    types = read_column_types(model, columns)
    changed = find_changed_types(change_set.types, types)
    return Cells(
        KeyList(StagedChange, change_set.pk),
        columns,
        {name: kind for name, kind in types.items() if name not in changed},
        followers=pair_followers(columns, change_set.followers),
        overwrite=overwrite,
    )


def pair_followers(
    columns: list[Field[Any, Any]], followers: Mapping[str, str | None]
) -> dict[Field[Any, Any], Field[Any, Any]]:
    """Return the fields that are written with another one, and those; ``followers`` as in ChangeSet."""
    by_name = {column.name: column for column in columns}
    pairs = ((by_name.get(name), by_name.get(leading or "")) for name, leading in followers.items())
    return {follower: leading for follower, leading in pairs if follower and leading}


def read_followers(run: Run) -> Mapping[str, str | None]:
    """Return the followers of the change set that the run applied; none for other runs."""
    number = str(run.params.get("change_set")) if run.operation == ApplyChangeSet.name else ""
    change_set = ChangeSet.objects.filter(pk=number).first() if number.isdecimal() else None
    return change_set.followers if change_set else {}


def require_permission(change_set: ChangeSet) -> None:
    """Raise InvalidParams if the maker may not change the rows now: Note [Who may apply a change set]."""
    opts = apps.get_model(change_set.model)._meta
    user = find_user(change_set.created_by)
    actions = ["change", "add"] if change_set.staged.filter(is_new=True).exists() else ["change"]
    needed = [f"{opts.app_label}.{get_permission_codename(action, opts)}" for action in actions]
    if user is None or not user.is_active or not user.has_perms(needed):
        reason = (
            f"{change_set.created_by} made change set {change_set.pk}, and may not change"
            f" {opts.verbose_name_plural} any more. Nothing was changed. The change set is kept, and can be"
            f" applied once {change_set.created_by} is allowed to again."
        )
        raise InvalidParams({NON_FIELD_ERRORS: [reason]})


def find_display_field(model: type[Model]) -> str:
    """Return the field by which other operations name the model's rows."""
    declared = registry.iter_operations_with_example()
    return next((each.display_field for each in declared if each.model is model), "pk")


def _field_names(model: type[Model]) -> set[str]:
    return {field.name for field in model._meta.get_fields()}
