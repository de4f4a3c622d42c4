"""The registered column changes, and the operations that come from them."""

from __future__ import annotations

from typing import TypeVar

from django.core.exceptions import FieldDoesNotExist

from ops.column_changes.backfill import build_operation
from ops.column_changes.declaration import ColumnChange
from ops.exceptions import InvalidDeclaration, OpsError
from ops.operations import register
from ops.operations.contract import validate_operation_name

C = TypeVar("C", bound=type[ColumnChange])

MAX_NAME_LENGTH = 40  # the names of triggers are made of it

_changes: dict[str, type[ColumnChange]] = {}


class UnknownColumnChange(OpsError):
    exit_status = 2


def register_change(change: C) -> C:
    """Register the class (a decorator), and the operation that fills its new column.

    Once the old field has left the model there is nothing to fill. Raises InvalidDeclaration.
    """
    _changes[validate_change_name(getattr(change, "name", ""))] = change
    try:
        change().old_field()
    except FieldDoesNotExist:
        return change
    register(build_operation(change))
    return change


def validate_change_name(name: str) -> str:
    """Return the name. Raises InvalidDeclaration."""
    validate_operation_name(name)
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidDeclaration(
            f"{name} has {len(name)} characters; a column change may have {MAX_NAME_LENGTH}"
        )
    return name


def get_change(name: str) -> type[ColumnChange]:
    """Return the change. Raises UnknownColumnChange."""
    if name not in _changes:
        names = ", ".join(sorted(_changes)) or "none"
        raise UnknownColumnChange(f"No column change is called {name!r}; the declared ones: {names}")
    return _changes[name]


def list_changes() -> list[type[ColumnChange]]:
    return [_changes[name] for name in sorted(_changes)]
