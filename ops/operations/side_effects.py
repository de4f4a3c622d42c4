"""What the database does with a table besides, and so may make of a run other than its preview tells."""

from __future__ import annotations

from collections.abc import Iterator

from ops.operations.base import Operation
from ops.operations.compiler import written_fields
from ops.sql.compile import auto_now_fields
from ops.sql.side_effects import is_row_security_active, list_after_update_triggers


def iter_table_warnings(operation: Operation) -> Iterator[str]:
    """What to tell with a preview of the table's triggers, and of its row-level security."""
    meta = operation.model._meta
    columns = [str(field.column) for field in (*written_fields(operation), *auto_now_fields(operation.model))]
    if triggers := list_after_update_triggers(operation.model, columns):
        yield (
            f"after the change of a row fires {', '.join(triggers)}: what it writes itself is not audited,"
            f" and a revert leaves alone what it wrote into {', '.join(columns)}"
        )
    if is_row_security_active(operation.model):
        yield (
            f"row-level security is on for this role: {meta.verbose_name_plural} that it may not read are not"
            " counted, and those that it may read but not change will fail"
        )
