"""The registered operations. A wrong declaration is refused on its own; the others stay usable."""

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
# The reasons why an operation could not be registered or a module not imported, by name.
_registration_errors: dict[str, str] = {}
_import_errors: dict[str, str] = {}
_discovered = False
_validation_errors: dict[type[Operation], str | None] = {}


def autodiscover() -> None:
    """Import ``operations`` of every app; an import error in one does not affect the others."""
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
    """Register the class (a decorator). Raises InvalidDeclaration if the engine could not run it exactly.

    While apps are loaded nothing is raised, since that would end every command: see ``collect_errors``.
    """
    with collect_error(operation):
        name, again = get_operation_name(operation), is_registered_again(operation)
        if name in _operations and not again:
            raise InvalidDeclaration(f"{name} is registered already, by {_operations[name].__qualname__}")
        if _discovered and not again and (problem := get_validation_error(operation)):
            raise InvalidDeclaration(problem)
        _operations[name] = operation
    return operation


def is_registered_again(declared: object) -> bool:
    """Whether its module is executed again, as one whose import failed is by the next import."""
    return getattr(declared, "__module__", "") in _import_errors


@contextmanager
def collect_error(declared: object) -> Iterator[None]:
    """Raise an InvalidDeclaration of the block; while apps are loaded, keep it for ``collect_errors``."""
    try:
        yield
    except InvalidDeclaration as exc:
        if _discovered and not is_registered_again(declared):
            raise
        _registration_errors[_qualified_name(declared)] = str(exc)


def get_operation(name: str) -> type[Operation]:
    """Return the operation. Raises UnknownOperation, or InvalidDeclaration if it cannot be run."""
    if name not in _operations:
        names = ", ".join(sorted(_operations)) or "none"
        broken = "".join(f"; {module} {problem}" for module, problem in _import_errors.items())
        raise UnknownOperation(f"No operation is called {name!r}; the registered ones: {names}{broken}")
    if problem := get_validation_error(_operations[name]):
        raise InvalidDeclaration(problem)
    return _operations[name]


def list_operations() -> list[type[Operation]]:
    """List the operations that can be run, by name."""
    return [_operations[name] for name in sorted(_operations) if not get_validation_error(_operations[name])]


def iter_operations_with_example() -> Iterator[type[Operation]]:
    """Yield the operations that can be built from their example; the revert cannot."""
    return (operation for operation in list_operations() if operation.example is not None)


def list_operation_models() -> list[type[Model]]:
    """List the models whose rows operations change, by label; for a proxy, its concrete model."""
    models = {model_label(operation.model) for operation in iter_operations_with_example()}
    return [apps.get_model(label) for label in sorted(models)]


def is_automatic(name: str) -> bool:
    """Whether the operation is started after runs of other operations."""
    return name in _operations and bool(_operations[name].depends_on)


def get_invalid_operations() -> dict[str, str]:
    """Return the error of each operation that cannot be run, by name."""
    problems = {name: get_validation_error(operation) for name, operation in sorted(_operations.items())}
    return {name: problem for name, problem in problems.items() if problem}


def get_import_errors() -> dict[str, str]:
    """Return the error of each ``operations`` module that cannot be imported, by module."""
    return dict(_import_errors)


def collect_errors() -> dict[str, str]:
    """Return all errors of declarations, by the module or class."""
    invalid = {
        _qualified_name(_operations[name]): problem for name, problem in get_invalid_operations().items()
    }
    return {**_import_errors, **_registration_errors, **invalid}


def get_validation_error(operation: type[Operation]) -> str | None:
    """Return why the operation cannot be run, or None. It is validated once, with its example."""
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
        pass  # It reads the database, whose tables may be missing yet: it is validated when it is built.
    return None


def find_nondeterministic() -> dict[str, str]:
    """Return the error of each operation that differs each time it is built, by class."""
    errors, as_of = {}, timezone.now()
    for operation in iter_operations_with_example():
        try:
            with _block_database_access():
                check_deterministic(_build_example(operation, as_of), _build_example(operation, as_of))
        except InvalidDeclaration as exc:
            errors[_qualified_name(operation)] = str(exc)
        except Error:
            continue  # as above
    return errors


def _build_example(operation: type[Operation], as_of: datetime) -> Operation:
    params = clean_example(operation)
    with wrap_declaration_errors(operation.name, "__init__()"):
        return operation(params, as_of)


def _qualified_name(operation: Any) -> str:
    return f"{getattr(operation, '__module__', '?')}.{getattr(operation, '__qualname__', operation)}"


@contextmanager
def _block_database_access() -> Iterator[None]:
    """Let every query fail: before `migrate` there are no tables, and the server may be unavailable."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise Error("no query is allowed while declarations are validated")

    with ExitStack() as stack:
        for connection in connections.all():
            for method in ("cursor", "chunked_cursor"):
                original = vars(connection).get(method)
                stack.callback(_restore_attribute, connection, method, original)
                setattr(connection, method, refuse)
        yield


def _restore_attribute(connection: Any, method: str, original: Any) -> None:
    if original is None:
        delattr(connection, method)
    else:
        setattr(connection, method, original)
