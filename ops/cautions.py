"""What the database does with a table besides, and so may make of a run other than its preview tells."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connection

from ops.operation import Operation
from ops.sql.ask import ask
from ops.sql.compile import fields_of, touched

# tgtype holds bits: 2 is BEFORE, 16 UPDATE, 64 INSTEAD OF. One of certain columns fires where one is set.
_AFTER_TRIGGERS = """
SELECT tgname FROM pg_trigger
WHERE tgrelid = %s::regclass AND NOT tgisinternal AND tgenabled IN ('O', 'A')
    AND tgtype & 16 = 16 AND tgtype & (2 | 64) = 0
    AND (tgattr = '' OR EXISTS (SELECT FROM pg_attribute
        WHERE attrelid = tgrelid AND attnum = ANY(tgattr) AND attname = ANY(%s)))
ORDER BY tgname
"""


def cautions(operation: Operation) -> Iterator[str]:
    """What to tell with a preview of the table's triggers, and of its row-level security."""
    meta = operation.model._meta
    table = connection.ops.quote_name(meta.db_table)
    columns = [str(field.column) for field in (*fields_of(operation), *touched(operation.model))]
    if triggers := [name for (name,) in ask(_AFTER_TRIGGERS, table, columns)]:
        yield (
            f"after the change of a row fires {', '.join(triggers)}: what it writes itself is not audited,"
            f" and a revert leaves alone what it wrote into {', '.join(columns)}"
        )
    if ask("SELECT row_security_active(%s::regclass)", table) == [(True,)]:
        yield (
            f"row-level security is on for this role: {meta.verbose_name_plural} that it may not read are not"
            " counted, and those that it may read but not change will fail"
        )
