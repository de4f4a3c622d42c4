"""Stage the cells that a person edited: validate all of them, and keep them in the database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth import get_permission_codename
from django.core.exceptions import FieldDoesNotExist, PermissionDenied, ValidationError
from django.db import DataError, transaction
from django.db.models import BaseConstraint, Field, Model, UniqueConstraint

from ops.change_sets.cells import NOT_SEEN, Cell, CellError, Validator, new_json, seen_json
from ops.change_sets.followers import find_followers
from ops.db import canonical_output
from ops.exceptions import InvalidScope, OpsError
from ops.formatting import pluralize
from ops.models import ChangeSet
from ops.operations.filters import parse_value
from ops.operations.validation import model_label
from ops.sql.compile import get_model_fields
from ops.sql.staged_cells import GivenCell, insert_staged_cells, list_existing_keys
from ops.sql.staged_checks import StagedViolation, find_staged_violations
from ops.sql.types import read_column_types
from ops.sqlstates import error_message

MAX_CELLS = 100_000


class CellsRefused(OpsError):
    """Some cells cannot be staged, and so none was; ``errors`` names all of them."""

    exit_status = 2

    def __init__(self, errors: list[CellError]) -> None:
        self.errors = errors
        super().__init__(f"{pluralize(len(errors), 'cell')} cannot be changed so: nothing was kept.")


class NothingToChange(OpsError):
    """Every cell has its new value already."""


@dataclass
class _Batch:
    """The cells to stage of one model, with the errors found so far."""

    model: type[Model]
    validators: Mapping[str, Validator]
    fields: dict[str, Field[Any, Any]] = field(default_factory=dict)
    followers: dict[str, list[Field[Any, Any]]] = field(default_factory=lambda: defaultdict(list))
    given: list[GivenCell] = field(default_factory=list)
    errors: list[CellError] = field(default_factory=list)

    def refuse(self, cell: Cell, message: str) -> None:
        self.errors.append(CellError(cell.key, cell.column, message))


def stage_cells(
    model: type[Model],
    cells: Iterable[Cell],
    by: Any,
    *,
    title: str = "",
    source: str = "sheet",
    validators: Mapping[str, Validator] | None = None,
) -> ChangeSet:
    """Return a new change set of the cells, made by the user ``by``.

    ``validators`` refuse new values of the named columns, beyond what the fields do. Raises PermissionDenied,
    CellsRefused, or NothingToChange; then nothing is kept.
    """
    require_change_permission(model, by)
    batch, cells = _Batch(model, validators or {}), [Cell(*cell) for cell in cells]
    if len(cells) > MAX_CELLS:
        raise CellsRefused([CellError("", "", f"These are {len(cells):,} cells; at most {MAX_CELLS:,} fit.")])
    with canonical_output():
        _read_fields(batch, cells)
        _read_cells(batch, cells)
        change_set = _create(batch, by, title, source)
        if batch.errors:
            raise CellsRefused(batch.errors)
        if not change_set.staged.exists():
            raise NothingToChange("Every cell has its new value already: there is nothing to change.")
    return change_set


def require_change_permission(model: type[Model], by: Any) -> None:
    """Raise PermissionDenied unless the user may change rows of the model."""
    opts = model._meta
    if not by.has_perm(f"{opts.app_label}.{get_permission_codename('change', opts)}"):
        raise PermissionDenied(f"You may not change {opts.verbose_name_plural}.")


def _read_fields(batch: _Batch, cells: list[Cell]) -> None:
    for name in dict.fromkeys(cell.column for cell in cells):
        try:
            [field] = get_model_fields(batch.model, [name])
        except FieldDoesNotExist:
            continue
        is_own = field in batch.model._meta.local_concrete_fields
        if is_own and field.editable and not field.primary_key and not getattr(field, "generated", False):
            batch.fields[name] = field
    for follower, leading in find_followers(batch.model, batch.fields).items():
        if leading:
            batch.followers[leading] += get_model_fields(batch.model, [follower])


def _read_cells(batch: _Batch, cells: list[Cell]) -> None:
    """Clean the cells; leave out, and note, those that are refused."""
    keys = _read_keys(batch, cells)
    seen = set()
    for cell in cells:
        key = keys.get(str(cell.key))
        if key is None:
            continue
        if (key, cell.column) in seen:
            batch.refuse(cell, "This cell is given twice.")
        seen.add((key, cell.column))
        _read_cell(batch, cell, key)


def _read_keys(batch: _Batch, cells: list[Cell]) -> dict[str, str]:
    """Return the keys of existing rows as the database writes them, by the keys as given."""
    canonical = {}
    for key in dict.fromkeys(str(cell.key) for cell in cells):
        try:
            canonical[key] = str(parse_value(batch.model._meta.pk, key, is_key=True))
        except InvalidScope:
            continue
    existing = list_existing_keys(batch.model, canonical.values())
    found = {given: key for given, key in canonical.items() if key in existing}
    name = batch.model._meta.verbose_name
    for key in dict.fromkeys(str(cell.key) for cell in cells):
        if key not in found:
            batch.errors.append(CellError(key, "", f"There is no {name} with the key {key} (any more)."))
    return found


def _read_cell(batch: _Batch, cell: Cell, key: str) -> None:
    field = batch.fields.get(cell.column)
    if field is None:
        batch.refuse(cell, f"{cell.column} cannot be edited here.")
        return
    try:
        wanted = new_json(field, cell.new, batch.validators.get(cell.column))
        for follower in batch.followers.get(cell.column, ()):
            new_json(follower, cell.new)
    except ValidationError as exc:
        batch.refuse(cell, " ".join(exc.messages))
        return
    is_seen = cell.seen is not NOT_SEEN
    try:
        seen = seen_json(field, cell.seen) if is_seen else None
    except ValidationError as exc:
        batch.refuse(cell, f"What you saw cannot be read; load the page again. {' '.join(exc.messages)}")
        return
    batch.given.append(GivenCell(key, str(field.column), seen, wanted, is_seen))


def _create(batch: _Batch, by: Any, title: str, source: str) -> ChangeSet:
    columns = list(batch.fields.values())
    followers = find_followers(batch.model, batch.fields)
    change_set: ChangeSet = ChangeSet.objects.create(
        model=model_label(batch.model),
        columns=[column.name for column in columns],
        followers=followers,
        types=read_column_types(batch.model, [*columns, *get_model_fields(batch.model, followers)]),
        title=title[:200],
        source=source,
        created_by=by.get_username(),
    )
    _insert(batch, change_set)
    batch.errors += find_violations(change_set, batch.model, columns)
    return change_set


def _insert(batch: _Batch, change_set: ChangeSet) -> None:
    """Insert the cells; where the database does not read some of them, name these and insert none."""
    try:
        with transaction.atomic():
            insert_staged_cells(change_set, batch.model, batch.given)
    except DataError:
        names = {str(field.column): name for name, field in batch.fields.items()}
        for cell in batch.given:
            try:
                with transaction.atomic():
                    insert_staged_cells(change_set, batch.model, [cell])
                    transaction.set_rollback(True)
            except DataError as exc:
                batch.errors.append(CellError(cell.key, names[cell.column], error_message(exc)))


def find_violations(
    change_set: ChangeSet, model: type[Model], columns: list[Field[Any, Any]]
) -> list[CellError]:
    """Return the cells of the columns that a constraint would refuse, in the constraint's own words."""
    errors = []
    for violation in find_staged_violations(change_set, model, columns):
        field = next(each for each in columns if each.column in violation.columns)
        message = _explain_violation(model, violation, field)
        errors.append(CellError(violation.object_id, field.name, message))
    return errors


def _explain_violation(model: type[Model], violation: StagedViolation, field: Field[Any, Any]) -> str:
    for constraint in model._meta.constraints:
        is_it = constraint.name == violation.constraint
        if violation.constraint == "unique" and isinstance(constraint, UniqueConstraint):
            columns = get_model_fields(model, constraint.fields)
            is_it = {str(each.column) for each in columns} == set(violation.columns)
        is_silent = constraint.violation_error_message == BaseConstraint.default_violation_error_message
        if is_it and not is_silent:
            return str(constraint.get_violation_error_message())
    if violation.constraint == "unique":
        return f"Another {model._meta.verbose_name} has this {field.verbose_name}, or would have it."
    if violation.constraint == "reference":
        return f"There is no such {field.verbose_name}."
    return f"It breaks the rule “{violation.constraint}”."
