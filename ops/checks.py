"""What the checks of the operations find, asked of all of them."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import DEFAULT_DB_ALIAS, ProgrammingError
from django.utils import timezone

from ops import registry
from ops.declaration import build
from ops.exceptions import OpsError
from ops.operation import Operation


def found_by_checks(alias: str = DEFAULT_DB_ALIAS) -> dict[str, int | None]:
    """Rows by the label of each check; None for an operation whose columns the database does not have yet."""
    found: dict[str, int | None] = {}
    for operation in _exemplary():
        try:
            found |= {check.label: check.queryset.using(alias).count() for check in operation.get_checks()}
        except ProgrammingError:
            found[operation.name] = None
    return found


def _exemplary() -> Iterator[Operation]:
    """The operations that can be built without anybody's parameters."""
    for declared in registry.all_operations():
        if declared.example is not None:
            try:
                yield build(declared, declared.example, timezone.now())
            except OpsError:
                continue  # its example needs rows that are not there
