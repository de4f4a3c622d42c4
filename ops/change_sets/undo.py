"""Undo a change of one row, or of one of its fields, that the audit log has: by a change set of that row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.apps import apps
from django.db.models import Field, Model

from ops.change_sets.followers import find_followers
from ops.change_sets.staging import find_violations, require_change_permission
from ops.db import canonical_output
from ops.exceptions import OpsError
from ops.models import AuditLog, ChangeSet
from ops.operations.validation import model_label
from ops.sql.compile import auto_now_fields, is_json
from ops.sql.staged_cells import list_existing_keys, stage_reversed_cells

SOURCE = "undo"


class UndoRefused(OpsError):
    """The change cannot be undone."""


def stage_undo(audit: AuditLog, by: Any, column: str = "") -> ChangeSet:
    """Return a new change set, made by the user ``by``, that sets back what the audit row says was changed.

    With ``column`` only this one, and what is written with it. What the change wrote counts as seen. Raises
    PermissionDenied, or UndoRefused.
    """
    model = apps.get_model(audit.object_type)
    require_change_permission(model, by)
    fields = _find_fields(model, audit, column)
    names = ", ".join(str(field.verbose_name) for field in fields)
    with canonical_output():
        change_set: ChangeSet = ChangeSet.objects.create(
            model=model_label(model),
            columns=[field.name for field in fields],
            followers=find_followers(model, [field.name for field in fields]),
            title=f"Undo: {names}"[:200],
            source=SOURCE,
            created_by=by.get_username(),
        )
        if not list_existing_keys(model, [audit.object_id]):
            raise UndoRefused(f"This {model._meta.verbose_name} was deleted: there is nothing to set back.")
        stage_reversed_cells(change_set, audit, [str(field.column) for field in fields])
        if errors := find_violations(change_set, model, fields):
            raise UndoRefused(f"The old value is not allowed any more. {errors[0].message}")
    return change_set


def list_undoable(model: type[Model], changes: Mapping[str, Any]) -> list[Field[Any, Any]]:
    """Return the fields whose audited change can be undone; none where the row was created or deleted."""
    ignored = [model._meta.pk, *auto_now_fields(model)]
    fields = [field for field in model._meta.local_concrete_fields if field.column in changes]
    undoable = []
    for field in fields:
        change = changes[str(field.column)]
        if not isinstance(change, dict) or not change.keys() <= {"old", "new"}:
            return []  # an imported row, of another shape
        if not (field.null or is_json(field)) and None in (change.get("old"), change.get("new")):
            return []
        if field not in ignored and not getattr(field, "generated", False):
            undoable.append(field)
    return undoable


def _find_fields(model: type[Model], audit: AuditLog, column: str) -> list[Field[Any, Any]]:
    undoable = list_undoable(model, audit.changes)
    if column:
        # Both columns of a column change are set back together: each has its own old value.
        pair = {*find_followers(model, [field.name for field in undoable if field.column == column]), column}
        undoable = [field for field in undoable if field.column == column or field.name in pair]
    if not undoable or (column and column not in {field.column for field in undoable}):
        raise UndoRefused(
            f"Only changes of fields can be undone, of a {model._meta.verbose_name} that existed before."
        )
    return undoable
