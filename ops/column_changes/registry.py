"""The registered column changes, and the operations that come from them."""

from __future__ import annotations

from typing import TypeVar

from ops.column_changes.backfill import build_operation
from ops.column_changes.declaration import ColumnChange
from ops.column_changes.validation import validate_change
from ops.command_lines import manage_command
from ops.exceptions import InvalidDeclaration, OpsError
from ops.operations import registry as operations

C = TypeVar("C", bound=type[ColumnChange])

_changes: dict[str, type[ColumnChange]] = {}


class UnknownColumnChange(OpsError):
    exit_status = 2


def register_change(change: C) -> C:
    """Register the class (a decorator), and the operation that fills its new column.

    Once the old field has left the model there is nothing to fill. Raises InvalidDeclaration. While apps are
    loaded nothing is raised: see ``ops.operations.registry.register``.
    """
    with operations.collect_error(change):
        name = validate_change(change)
        if name in _changes and not operations.is_registered_again(change):
            raise InvalidDeclaration(f"{name} is registered already, by {_changes[name].__qualname__}")
        if {change.old, change.new} <= {field.name for field in change.model._meta.get_fields()}:
            operations.register(build_operation(change))
        _changes[name] = change
    return change


def get_change(name: str) -> type[ColumnChange]:
    """Return the change. Raises UnknownColumnChange."""
    if name not in _changes:
        names = ", ".join(sorted(_changes)) or "none"
        refused = f"To see what is refused: {manage_command('check')}" if operations.collect_errors() else ""
        raise UnknownColumnChange(
            f"No column change is called {name!r}; the declared ones: {names}.", refused
        )
    return _changes[name]


def list_changes() -> list[type[ColumnChange]]:
    return [_changes[name] for name in sorted(_changes)]
