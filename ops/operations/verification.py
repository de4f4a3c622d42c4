"""What the checks of the operations find, asked of all of them."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import DEFAULT_DB_ALIAS, ProgrammingError
from django.utils import timezone

from ops.exceptions import OpsError
from ops.operations import registry
from ops.operations.base import Operation
from ops.operations.validation import build_operation


def count_violations(alias: str = DEFAULT_DB_ALIAS) -> dict[str, int | None]:
    """Rows by the label of each check; None for an operation whose columns the database does not have yet."""
    found: dict[str, int | None] = {}
    for operation in _iter_example_operations():
        try:
            found |= {check.label: check.queryset.using(alias).count() for check in operation.get_checks()}
        except ProgrammingError:
            found[operation.name] = None
    return found


def _iter_example_operations() -> Iterator[Operation]:
    """The operations that can be built without anybody's parameters."""
    for declared in registry.list_operations():
        if declared.example is not None:
            try:
                yield build_operation(declared, declared.example, timezone.now())
            except OpsError:
                continue  # its example needs rows that are not there
