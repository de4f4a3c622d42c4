"""The registered column changes, and the operations that come from them."""

from __future__ import annotations

from typing import TypeVar

from ops.column_changes.backfill import build_operation
from ops.column_changes.declaration import BaseColumnChange, ColumnChange
from ops.column_changes.validation import validate_change
from ops.command_lines import manage_command
from ops.exceptions import InvalidDeclaration, OpsError
from ops.operations import registry as operations

C = TypeVar("C", bound=type[BaseColumnChange])

_changes: dict[str, type[BaseColumnChange]] = {}


class UnknownColumnChange(OpsError):
    exit_status = 2


def register_change(change: C) -> C:
    """Register the class (a decorator), and the operation that fills its new column if it has one.

    Once the old field has left the model there is nothing to fill. Raises InvalidDeclaration. While apps are
    loaded nothing is raised: see ``ops.operations.registry.register``.
    """
    with operations.collect_error(change):
        name = validate_change(change)
        if name in _changes and not operations.is_registered_again(change):
            raise InvalidDeclaration(f"{name} is registered already, by {_changes[name].__qualname__}")
        if issubclass(change, ColumnChange) and {*change.fields()} <= change.field_names():
            operations.register(build_operation(change))
        _changes[name] = change
    return change


def get_change(name: str) -> type[BaseColumnChange]:
    """Return the change. Raises UnknownColumnChange."""
    if name not in _changes:
        names = ", ".join(sorted(_changes)) or "none"
        refused = f"To see what is refused: {manage_command('check')}" if operations.collect_errors() else ""
        raise UnknownColumnChange(
            f"No column change is called {name!r}; the declared ones: {names}.", refused
        )
    return _changes[name]


def get_replacement(name: str) -> type[ColumnChange]:
    """Return the change, which has a new column. Raises UnknownColumnChange."""
    change = get_change(name)
    if not issubclass(change, ColumnChange):
        raise UnknownColumnChange(f"{name} removes {change.old}, and has no new column.")
    return change


def list_changes() -> list[type[BaseColumnChange]]:
    return [_changes[name] for name in sorted(_changes)]
