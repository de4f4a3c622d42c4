"""Checks of a declared column change, before anything uses it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from datetime import timedelta
from typing import Any, get_args

from django.db.models import Field

from ops.column_changes.declaration import BaseColumnChange, ColumnChange, Unmappable
from ops.exceptions import InvalidDeclaration
from ops.operations.contract import check_model, validate_operation_name

MAX_NAME_LENGTH = 40  # the names of triggers are made of it


def validate_change(change: Any) -> str:
    """Return the name of the change. Raises InvalidDeclaration if something is wrong with the class."""
    if not (isinstance(change, type) and issubclass(change, BaseColumnChange)):
        raise InvalidDeclaration(
            f"{change!r} is not a column change: inherit from ops.column_changes.ColumnChange, or from"
            " ColumnRemoval"
        )
    try:
        name = validate_change_name(getattr(change, "name", ""))
    except InvalidDeclaration as exc:
        raise InvalidDeclaration(f"{change.__qualname__}.name: {exc}") from None
    check_model(name, getattr(change, "model", None))
    _check_names(change)
    if issubclass(change, ColumnChange):
        _check_fields(change)
        _check_values(change)
        _check_options(change)
    _check_waits(change)
    return name


def validate_change_name(name: object) -> str:
    """Return the name. Raises InvalidDeclaration."""
    valid = validate_operation_name(name)
    if len(valid) > MAX_NAME_LENGTH:
        raise InvalidDeclaration(
            f"{valid} has {len(valid)} characters; a column change may have {MAX_NAME_LENGTH}"
        )
    return valid


def _check_names(change: type[BaseColumnChange]) -> None:
    label = change.model._meta.label
    for part in ("old", "new") if issubclass(change, ColumnChange) else ("old",):
        if not isinstance(value := getattr(change, part, None), str):
            remove = ". To remove a field, inherit from ColumnRemoval" if part == "new" else ""
            raise InvalidDeclaration(
                f"{change.name}: {part} is {value!r}; give the name of a field of {label}{remove}"
            )
    for field in change.model._meta.get_fields():
        if field.name in change.fields() and not isinstance(field, Field):
            raise InvalidDeclaration(
                f"{change.name}: {field.name} is a relation of another model; give a field of {label}"
            )


def _check_fields(change: type[ColumnChange]) -> None:
    """Check the two fields. In the end one has left the model: the new one, where names are swapped."""
    label = change.model._meta.label
    if change.old == change.new:
        raise InvalidDeclaration(f"{change.name}: old and new are both {change.old}; give two fields")
    fields: dict[str, Any] = {field.name: field for field in change.model._meta.get_fields()}
    needed = change.old if change.swap and change.new not in fields else change.new
    if needed not in fields:
        names = ", ".join(field.name for field in change.model._meta.concrete_fields)
        raise InvalidDeclaration(f"{change.name}: {label} has no field {needed!r}; it has {names}")
    if change.old in fields and change.new in fields:
        _check_pair(change, fields[change.old], fields[change.new])


def _check_pair(change: type[ColumnChange], old: Field[Any, Any], new: Field[Any, Any]) -> None:
    if old.model._meta.concrete_model is not new.model._meta.concrete_model:
        raise InvalidDeclaration(
            f"{change.name}: {old.name} is a field of {old.model._meta.label}, and {new.name} of"
            f" {new.model._meta.label}: both have to be columns of one table"
        )
    if change.swap and change.is_copy() and old.deconstruct()[1:] == new.deconstruct()[1:]:
        raise InvalidDeclaration(
            f"{change.name}: swap is set, but {old.name} and {new.name} have the same type and the same"
            " values, so nothing would change"
        )


def _check_values(change: type[ColumnChange]) -> None:
    mapping, name = change.mapping, change.name
    if not isinstance(mapping, Mapping):
        raise InvalidDeclaration(f"{name}: mapping is {mapping!r}; give a dict of old values and new ones")
    if unhashable := next((each for each in mapping.values() if not isinstance(each, Hashable)), None):
        raise InvalidDeclaration(
            f"{name}: mapping has the new value {unhashable!r}, which has no way back:"
            " give get_new_value() and get_old_value() in place of mapping"
        )
    given = [
        method
        for method in ("get_new_value", "get_old_value")
        if getattr(change, method) is not getattr(ColumnChange, method)
    ]
    if given and mapping:
        raise InvalidDeclaration(f"{name} has a mapping and {given[0]}(): give one of them")
    if given == ["get_new_value"]:
        raise InvalidDeclaration(
            f"{name} has get_new_value() and no get_old_value(), by which the old column would be a copy of"
            " the new one: give get_old_value() too; it returns None where there is no way back"
        )


def _check_options(change: type[ColumnChange]) -> None:
    name, words = change.name, get_args(Unmappable)
    if change.unmappable not in words:
        raise InvalidDeclaration(
            f"{name}: unmappable is {change.unmappable!r}; give {' or '.join(map(repr, words))}"
        )
    if not isinstance(change.swap, bool):
        raise InvalidDeclaration(f"{name}: swap is {change.swap!r}; give True or False")
    if change.operation:
        try:
            validate_operation_name(change.operation)
        except InvalidDeclaration as exc:
            raise InvalidDeclaration(f"{name}: operation: {exc}") from None


def _check_waits(change: type[BaseColumnChange]) -> None:
    if not isinstance(change.no_wait_reason, str):
        raise InvalidDeclaration(f"{change.name}: no_wait_reason is {change.no_wait_reason!r}; give a text")
    for option in ("retire_after", "drop_after"):
        wait = getattr(change, option)
        if not isinstance(wait, timedelta) or wait < timedelta():
            raise InvalidDeclaration(
                f"{change.name}: {option} is {wait!r}; give a timedelta, for example timedelta(hours=48)"
            )
        if not wait and not change.no_wait_reason.strip():
            raise InvalidDeclaration(
                f"{change.name}: {option} is zero; say why in no_wait_reason, which is recorded"
            )
