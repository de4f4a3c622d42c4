"""What the database does with a table besides, and so may make of a run other than its preview tells."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connection

from ops.operations.base import Operation
from ops.operations.compiler import written_fields
from ops.sql.ask import fetch_all
from ops.sql.compile import auto_now_fields

# tgtype holds bits: 2 is BEFORE, 16 UPDATE, 64 INSTEAD OF. One of certain columns fires where one is set.
_AFTER_TRIGGERS_SQL = """
SELECT tgname FROM pg_trigger
WHERE tgrelid = %s::regclass AND NOT tgisinternal AND tgenabled IN ('O', 'A')
    AND tgtype & 16 = 16 AND tgtype & (2 | 64) = 0
    AND (tgattr = '' OR EXISTS (SELECT FROM pg_attribute
        WHERE attrelid = tgrelid AND attnum = ANY(tgattr) AND attname = ANY(%s)))
ORDER BY tgname
"""


def iter_table_warnings(operation: Operation) -> Iterator[str]:
    """What to tell with a preview of the table's triggers, and of its row-level security."""
    meta = operation.model._meta
    table = connection.ops.quote_name(meta.db_table)
    columns = [str(field.column) for field in (*written_fields(operation), *auto_now_fields(operation.model))]
    if triggers := [name for (name,) in fetch_all(_AFTER_TRIGGERS_SQL, table, columns)]:
        yield (
            f"after the change of a row fires {', '.join(triggers)}: what it writes itself is not audited,"
            f" and a revert leaves alone what it wrote into {', '.join(columns)}"
        )
    if fetch_all("SELECT row_security_active(%s::regclass)", table) == [(True,)]:
        yield (
            f"row-level security is on for this role: {meta.verbose_name_plural} that it may not read are not"
            " counted, and those that it may read but not change will fail"
        )
