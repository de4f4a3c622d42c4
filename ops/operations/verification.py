"""Run the checks of all operations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from django.db import DEFAULT_DB_ALIAS, ProgrammingError
from django.utils import timezone

from ops.exceptions import OpsError
from ops.operations import registry
from ops.operations.base import Operation
from ops.operations.validation import build_operation


def count_violations(alias: str = DEFAULT_DB_ALIAS) -> dict[str, int | None]:
    """Count the rows that each check finds, by its label.

    An operation whose columns the database does not have yet is there by its name, with None.
    """
    violations: dict[str, int | None] = {}
    for operation in _build_examples():
        try:
            violations |= {
                check.label: check.queryset.using(alias).count() for check in operation.get_checks()
            }
        except ProgrammingError:
            violations[operation.name] = None
    return violations


def _build_examples() -> Iterator[Operation]:
    for declared in registry.iter_operations_with_example():
        with suppress(OpsError):  # its example may need rows that are missing
            yield build_operation(declared, declared.example or {}, timezone.now())
