"""Warnings about what a table does beside the change: triggers and row-level security."""

from __future__ import annotations

from collections.abc import Iterator

from ops.operations.base import Operation
from ops.operations.compiler import written_fields
from ops.sql.compile import auto_now_fields
from ops.sql.side_effects import is_row_security_active, list_after_update_triggers


def iter_table_warnings(operation: Operation) -> Iterator[str]:
    """Yield the warnings for a preview."""
    meta = operation.model._meta
    columns = [str(field.column) for field in (*written_fields(operation), *auto_now_fields(operation.model))]
    if triggers := list_after_update_triggers(operation.model, columns):
        yield (
            f"AFTER triggers on this table: {', '.join(triggers)}. What they write is not audited,"
            f" and what they write into {', '.join(columns)} is not reverted"
        )
    if is_row_security_active(operation.model):
        yield (
            f"row-level security limits this role: {meta.verbose_name_plural} that it may not read are not"
            " counted, and those that it may read but not change will fail"
        )
