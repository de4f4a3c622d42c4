"""The fields that the constraints and indexes of a model's Meta name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.db.models import F, Field, Q, Value, When
from django.db.models.expressions import BaseExpression

Rename = Callable[[str], str]


def has_reference(value: Any, field: str) -> bool:
    """Whether the constraint, index or expression names the field."""
    found: list[str] = []

    def collect(name: str) -> str:
        found.append(name)
        return name

    _map_names(value, collect)
    return field in found


def rename_references(value: Any, before: str, after: str) -> Any:
    """Return the constraint, index or expression with the name of one field replaced."""
    return _map_names(value, lambda name: after if name == before else name)


def with_name(value: Any, name: str) -> Any:
    """Return the constraint or index with another name of its own."""
    _, args, options = value.deconstruct()
    return type(value)(*args, **{**options, "name": name})


def _map_names(value: Any, rename: Rename) -> Any:
    if isinstance(value, F):
        return F(_map_path(value.name, rename))  # type: ignore[attr-defined]
    if isinstance(value, Q):
        children = (_map_child(child, rename) for child in value.children)
        return Q(*children, _connector=value.connector, _negated=value.negated)
    if isinstance(value, list | tuple):
        return type(value)(_map_names(each, rename) for each in value)
    if isinstance(value, Value | Field):  # a field is the type of an expression
        return value
    if isinstance(value, BaseExpression):
        args, options = value._constructor_args  # type: ignore[attr-defined]
        args = [_map_operand(each, rename) for each in args]
        if isinstance(value, When):  # whose other arguments are lookups
            options = {
                key if key == "then" else _map_path(key, rename): each for key, each in options.items()
            }
        return type(value)(*args, **{key: _map_names(each, rename) for key, each in options.items()})
    if hasattr(value, "deconstruct"):
        _, args, options = value.deconstruct()
        return type(value)(*(_map_operand(each, rename) for each in args), **_map_options(options, rename))
    return value


def _map_options(options: Mapping[str, Any], rename: Rename) -> dict[str, Any]:
    """Map the options of a constraint or an index, of which three list fields."""
    mapped: dict[str, Any] = {}
    for key, value in options.items():
        if key in ("fields", "include") and value:
            mapped[key] = [_map_path(name, rename) for name in value]
        elif key == "expressions":
            mapped[key] = [(_map_operand(operand, rename), *rest) for operand, *rest in value]
        else:
            mapped[key] = _map_names(value, rename)
    return mapped


def _map_child(child: Any, rename: Rename) -> Any:
    if isinstance(child, tuple):
        return _map_path(child[0], rename), _map_names(child[1], rename)
    return _map_names(child, rename)


def _map_operand(value: Any, rename: Rename) -> Any:
    """Map an operand, where a string is the name of a field."""
    return _map_path(value, rename) if isinstance(value, str) else _map_names(value, rename)


def _map_path(path: str, rename: Rename) -> str:
    """Map the name that a path such as ``-score`` or ``score__lt`` begins with."""
    sign = "-" if path.startswith("-") else ""
    name, separator, rest = path.removeprefix("-").partition("__")
    return sign + rename(name) + separator + rest
