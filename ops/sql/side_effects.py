"""What a table itself does on UPDATE, besides the statement: triggers, row-level security."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection
from django.db.models import Model

from ops.sql.query import fetch_all

# tgtype holds bits: 2 is BEFORE, 16 UPDATE, 64 INSTEAD OF. One of certain columns fires where one is set.
_AFTER_UPDATE_TRIGGERS_SQL = """
SELECT tgname FROM pg_trigger
WHERE tgrelid = %s::regclass AND NOT tgisinternal AND tgenabled IN ('O', 'A')
    AND tgtype & 16 = 16 AND tgtype & (2 | 64) = 0
    AND (tgattr = '' OR EXISTS (SELECT FROM pg_attribute
        WHERE attrelid = tgrelid AND attnum = ANY(tgattr) AND attname = ANY(%s)))
ORDER BY tgname
"""
_IS_ROW_SECURITY_ACTIVE_SQL = "SELECT row_security_active(%s::regclass)"
_MERGEABLE_SQL = """
SELECT relkind IN ('r', 'p') AND NOT relhasrules AND NOT row_security_active(oid)
FROM pg_class WHERE oid = %s::regclass
"""


def list_after_update_triggers(model: type[Model], columns: Iterable[str]) -> list[str]:
    """List the names of the AFTER UPDATE triggers that fire when an UPDATE sets one of the columns."""
    return [name for (name,) in fetch_all(_AFTER_UPDATE_TRIGGERS_SQL, _quoted_table(model), list(columns))]


def is_row_security_active(model: type[Model]) -> bool:
    """Whether row-level security limits what the current role may read or change in the table."""
    return fetch_all(_IS_ROW_SECURITY_ACTIVE_SQL, _quoted_table(model)) == [(True,)]


def is_mergeable(model: type[Model]) -> bool:
    """Whether MERGE may change the table for the current role: no rules, no row-level security."""
    [(mergeable,)] = fetch_all(_MERGEABLE_SQL, _quoted_table(model))
    return bool(mergeable)


def _quoted_table(model: type[Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)
