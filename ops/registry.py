"""The registered operations; one that is declared wrong is refused, it alone, when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from importlib import import_module
from typing import Any, TypeVar

from django.apps import apps
from django.db import Error, connections
from django.utils import timezone
from django.utils.module_loading import module_has_submodule

from ops import raised
from ops.contract import asking, check_class, exemplary_params, name_of
from ops.declaration import check_steady, try_out
from ops.exceptions import InvalidDeclaration, UnknownOperation
from ops.operation import Operation

O = TypeVar("O", bound=type[Operation])  # noqa: E741

_registered: dict[str, type[Operation]] = {}
# What could not be registered, and modules that could not be imported: why, by their name.
_nameless: dict[str, str] = {}
_broken: dict[str, str] = {}
_discovered = False
_problems: dict[type[Operation], str | None] = {}


def discover() -> None:
    """Import ``operations`` of every app. One that cannot be imported takes no other one with it."""
    global _discovered
    for app in apps.get_app_configs():
        name = f"{app.name}.operations"
        try:
            if module_has_submodule(app.module, "operations"):
                import_module(name)
        except Exception as exc:
            _broken[name] = f"cannot be imported: {raised.told(exc)}"
    _discovered = True


def register(operation: O) -> O:
    """Class decorator. Raises InvalidDeclaration where the engine could not run the operation exactly.

    Not while the apps are being loaded, when it would end every command: see ``faults``.
    """
    # A module that failed to be imported is begun anew by whoever imports it once more.
    again = getattr(operation, "__module__", "") in _broken
    try:
        name = name_of(operation)
        if name in _registered and not again:
            raise InvalidDeclaration(f"{name} is registered already, by {_registered[name].__qualname__}")
        if _discovered and not again and (problem := problem_of(operation)):
            raise InvalidDeclaration(problem)
    except InvalidDeclaration as exc:
        if _discovered and not again:
            raise
        _nameless[_place(operation)] = str(exc)
        return operation
    _registered[name] = operation
    return operation


def get(name: str) -> type[Operation]:
    """Raises UnknownOperation, or InvalidDeclaration where it is refused."""
    if name not in _registered:
        known = ", ".join(sorted(_registered)) or "none"
        broken = "".join(f"; {module} {problem}" for module, problem in _broken.items())
        raise UnknownOperation(f"no operation is called {name!r}; the registered ones: {known}{broken}")
    if problem := problem_of(_registered[name]):
        raise InvalidDeclaration(problem)
    return _registered[name]


def all_operations() -> list[type[Operation]]:
    """Those that can be run, by name."""
    return [_registered[name] for name in sorted(_registered) if not problem_of(_registered[name])]


def begins_by_itself(name: str) -> bool:
    """Whether runs of the operation of that name follow those of others."""
    return name in _registered and bool(_registered[name].follows)


def refused() -> dict[str, str]:
    """Why, by the name of each operation that is refused."""
    problems = {name: problem_of(operation) for name, operation in sorted(_registered.items())}
    return {name: problem for name, problem in problems.items() if problem}


def broken() -> dict[str, str]:
    """Why, by the name of each ``operations`` module that cannot be imported."""
    return dict(_broken)


def faults() -> dict[str, str]:
    """What is wrong with the declarations of all apps, by where it is."""
    wrong = {_place(_registered[name]): problem for name, problem in refused().items()}
    return {**_broken, **_nameless, **wrong}


def problem_of(operation: type[Operation]) -> str | None:
    """Why the operation is refused; None where it can be run. It is tried out once, with its example."""
    if operation not in _problems:
        _problems[operation] = _find_problem(operation)
    return _problems[operation]


def _find_problem(operation: type[Operation]) -> str | None:
    try:
        check_class(operation)
        with _without_database():
            if operation.example is not None:
                try_out(_exemplary(operation, timezone.now()))
    except InvalidDeclaration as exc:
        return str(exc)
    except Error:
        pass  # It asks the database, which may lack its tables yet: it is tried out when it is built.
    return None


def unsteady() -> dict[str, str]:
    """What is another one each time it is built, by where it is; no run of it is made."""
    found, as_of = {}, timezone.now()
    for operation in (each for each in all_operations() if each.example is not None):
        try:
            with _without_database():
                check_steady(_exemplary(operation, as_of), _exemplary(operation, as_of))
        except InvalidDeclaration as exc:
            found[_place(operation)] = str(exc)
        except Error:
            continue  # as above
    return found


def _exemplary(operation: type[Operation], as_of: datetime) -> Operation:
    params = exemplary_params(operation)
    with asking(operation.name, "__init__()"):
        return operation(params, as_of)


def _place(operation: Any) -> str:
    return f"{getattr(operation, '__module__', '?')}.{getattr(operation, '__qualname__', operation)}"


@contextmanager
def _without_database() -> Iterator[None]:
    """Let every question to a database fail: `migrate` comes before the tables, and a server may be away."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise Error("no database is asked here")

    with ExitStack() as stack:
        for connection in connections.all():
            for method in ("cursor", "chunked_cursor"):
                before = vars(connection).get(method)
                stack.callback(_put_back, connection, method, before)
                setattr(connection, method, refuse)
        yield


def _put_back(connection: Any, method: str, before: Any) -> None:
    if before is None:
        delattr(connection, method)
    else:
        setattr(connection, method, before)
