"""Verify a change: count the rows that the step verify is about, in one snapshot."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils import timezone

from ops.column_changes.backfill import build_checks, build_operation, inexpressible_rows
from ops.column_changes.declaration import ColumnChange
from ops.engine.finish import verify_operation
from ops.operations import Check
from ops.operations.scope import Scope
from ops.operations.validation import build_operation as build_validated

Result = dict[str, Any]


def verify_change(change: type[ColumnChange]) -> tuple[list[Result], list[Result]]:
    """Execute the checks of the change; return their results, and those of what is only told.

    Where the declaration keeps old values, that is the rows whose new value has none.
    """

    class Verification(build_operation(change)):  # type: ignore[misc]
        def get_checks(self) -> Iterable[Check]:
            yield from super().get_checks()
            if change.unmappable == "keep":
                rows = change.model._meta.verbose_name_plural
                yield Check(
                    f"{rows} whose {change.new} {change.old} cannot express", inexpressible_rows(change)
                )

    results = verify_operation(build_validated(Verification, {}, timezone.now()), Scope())
    count = len(build_checks(change))
    return results[:count], results[count:]
