"""The registered operations; one that is declared wrong is refused, it alone, when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from importlib import import_module
from typing import Any, TypeVar

from django.apps import apps
from django.db import Error, connections
from django.db.models import Model
from django.utils import timezone
from django.utils.module_loading import module_has_submodule

from ops.exceptions import InvalidDeclaration, UnknownOperation
from ops.operations import user_code
from ops.operations.base import Operation
from ops.operations.contract import check_class, clean_example, get_operation_name, wrap_declaration_errors
from ops.operations.validation import check_deterministic, model_label, validate_operation

O = TypeVar("O", bound=type[Operation])  # noqa: E741

_operations: dict[str, type[Operation]] = {}
# What could not be registered, and modules that could not be imported: why, by their name.
_registration_errors: dict[str, str] = {}
_import_errors: dict[str, str] = {}
_discovered = False
_validation_errors: dict[type[Operation], str | None] = {}


def autodiscover() -> None:
    """Import ``operations`` of every app. One that cannot be imported takes no other one with it."""
    global _discovered
    for app in apps.get_app_configs():
        name = f"{app.name}.operations"
        try:
            if module_has_submodule(app.module, "operations"):
                import_module(name)
        except Exception as exc:
            _import_errors[name] = f"cannot be imported: {user_code.format_exception(exc)}"
    _discovered = True


def register(operation: O) -> O:
    """Class decorator. Raises InvalidDeclaration where the engine could not run the operation exactly.

    Not while the apps are being loaded, when it would end every command: see ``faults``.
    """
    # A module that failed to be imported is begun anew by whoever imports it once more.
    again = getattr(operation, "__module__", "") in _import_errors
    try:
        name = get_operation_name(operation)
        if name in _operations and not again:
            raise InvalidDeclaration(f"{name} is registered already, by {_operations[name].__qualname__}")
        if _discovered and not again and (problem := get_validation_error(operation)):
            raise InvalidDeclaration(problem)
    except InvalidDeclaration as exc:
        if _discovered and not again:
            raise
        _registration_errors[_qualified_name(operation)] = str(exc)
        return operation
    _operations[name] = operation
    return operation


def get_operation(name: str) -> type[Operation]:
    """Raises UnknownOperation, or InvalidDeclaration where it is refused."""
    if name not in _operations:
        known = ", ".join(sorted(_operations)) or "none"
        broken = "".join(f"; {module} {problem}" for module, problem in _import_errors.items())
        raise UnknownOperation(f"no operation is called {name!r}; the registered ones: {known}{broken}")
    if problem := get_validation_error(_operations[name]):
        raise InvalidDeclaration(problem)
    return _operations[name]


def list_operations() -> list[type[Operation]]:
    """Those that can be run, by name."""
    return [_operations[name] for name in sorted(_operations) if not get_validation_error(_operations[name])]


def iter_operations_with_example() -> Iterator[type[Operation]]:
    """Yield the operations that can be built from their example: those of the project, not the revert."""
    return (operation for operation in list_operations() if operation.example is not None)


def list_operation_models() -> list[type[Model]]:
    """The models whose tables operations change, each once, by label; a proxy's is its concrete model."""
    models = {model_label(operation.model) for operation in iter_operations_with_example()}
    return [apps.get_model(label) for label in sorted(models)]


def is_automatic(name: str) -> bool:
    """Whether runs of the operation of that name follow those of others."""
    return name in _operations and bool(_operations[name].depends_on)


def get_invalid_operations() -> dict[str, str]:
    """Why, by the name of each operation that is refused."""
    problems = {name: get_validation_error(operation) for name, operation in sorted(_operations.items())}
    return {name: problem for name, problem in problems.items() if problem}


def get_import_errors() -> dict[str, str]:
    """Why, by the name of each ``operations`` module that cannot be imported."""
    return dict(_import_errors)


def collect_errors() -> dict[str, str]:
    """What is wrong with the declarations of all apps, by where it is."""
    wrong = {
        _qualified_name(_operations[name]): problem for name, problem in get_invalid_operations().items()
    }
    return {**_import_errors, **_registration_errors, **wrong}


def get_validation_error(operation: type[Operation]) -> str | None:
    """Why the operation is refused; None where it can be run. It is tried out once, with its example."""
    if operation not in _validation_errors:
        _validation_errors[operation] = _find_validation_error(operation)
    return _validation_errors[operation]


def _find_validation_error(operation: type[Operation]) -> str | None:
    try:
        check_class(operation)
        with _block_database_access():
            if operation.example is not None:
                validate_operation(_build_example(operation, timezone.now()))
    except InvalidDeclaration as exc:
        return str(exc)
    except Error:
        pass  # It asks the database, which may lack its tables yet: it is tried out when it is built.
    return None


def find_nondeterministic() -> dict[str, str]:
    """What is another one each time it is built, by where it is; no run of it is made."""
    found, as_of = {}, timezone.now()
    for operation in iter_operations_with_example():
        try:
            with _block_database_access():
                check_deterministic(_build_example(operation, as_of), _build_example(operation, as_of))
        except InvalidDeclaration as exc:
            found[_qualified_name(operation)] = str(exc)
        except Error:
            continue  # as above
    return found


def _build_example(operation: type[Operation], as_of: datetime) -> Operation:
    params = clean_example(operation)
    with wrap_declaration_errors(operation.name, "__init__()"):
        return operation(params, as_of)


def _qualified_name(operation: Any) -> str:
    return f"{getattr(operation, '__module__', '?')}.{getattr(operation, '__qualname__', operation)}"


@contextmanager
def _block_database_access() -> Iterator[None]:
    """Let every question to a database fail: `migrate` comes before the tables, and a server may be away."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise Error("no database is asked here")

    with ExitStack() as stack:
        for connection in connections.all():
            for method in ("cursor", "chunked_cursor"):
                before = vars(connection).get(method)
                stack.callback(_restore_attribute, connection, method, before)
                setattr(connection, method, refuse)
        yield


def _restore_attribute(connection: Any, method: str, before: Any) -> None:
    if before is None:
        delattr(connection, method)
    else:
        setattr(connection, method, before)
