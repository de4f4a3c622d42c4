"""The registered operations, each tried out before it may run."""

from __future__ import annotations

import re
from typing import TypeVar

from django.utils import timezone

from ops.declaration import try_out
from ops.exceptions import InvalidDeclaration, UnknownOperation
from ops.operation import Operation

O = TypeVar("O", bound=type[Operation])  # noqa: E741

_registered: dict[str, type[Operation]] = {}


def register(operation: O) -> O:
    """Class decorator. Raises InvalidDeclaration where the engine could not run the operation exactly."""
    name = getattr(operation, "name", "")
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name):
        raise InvalidDeclaration(
            f"{operation.__qualname__}.name is {name!r}; use lower-case letters, digits and underscores"
        )
    if name in _registered:
        raise InvalidDeclaration(f"{name} is registered already, by {_registered[name].__qualname__}")
    if operation.example is not None:
        try_out(_exemplary(operation))
    _registered[name] = operation
    return operation


def get(name: str) -> type[Operation]:
    try:
        return _registered[name]
    except KeyError:
        known = ", ".join(sorted(_registered)) or "none"
        raise UnknownOperation(f"no operation is called {name!r}; the registered ones: {known}") from None


def all_operations() -> list[type[Operation]]:
    return [_registered[name] for name in sorted(_registered)]


def begins_by_itself(name: str) -> bool:
    """Whether runs of the operation of that name follow those of others."""
    return name in _registered and bool(_registered[name].follows)


def _exemplary(operation: type[Operation]) -> Operation:
    example = operation.example or {}
    required = {name for name, field in operation.Params.base_fields.items() if field.required}
    if missing := sorted(required - set(example)):
        raise InvalidDeclaration(f"{operation.name}: example lacks the parameters {', '.join(missing)}")
    return operation(dict.fromkeys(operation.Params.base_fields) | dict(example), timezone.now())
