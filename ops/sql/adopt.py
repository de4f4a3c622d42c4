"""Rows that come from another database, where they had other keys: their references, their audit rows."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.management.color import no_style
from django.db import connection, models
from psycopg import sql

from ops.models import AuditLog
from ops.sql.compile import identifier
from ops.sql.merge import Merge
from ops.sql.staging import PLACE, Staging, column_of

ORIGIN = "_origin"  # the extra column with the key that a row had where it comes from

_LINK = """
UPDATE {staged} AS staged SET {column} = target.{pk}
FROM {owners} AS owner JOIN {table} AS target ON target.{key} = owner.{key}
WHERE staged.{reference} = owner.{origin}
"""
_DANGLING = """
SELECT count(*) OVER (), {place}, {reference} FROM {staged} AS staged
WHERE {reference} IS NOT NULL
    AND NOT EXISTS (SELECT FROM {owners} AS owner WHERE owner.{origin} = staged.{reference})
ORDER BY {place} LIMIT %s
"""
# An audit row names its object by label and key, and the key is another one here. What was not exported,
# since it was gone by then, must not pass for the row that has its number here.
_OWNERS = """
SELECT {label} AS label, owner.{origin} AS origin, target.{pk}::text AS object
FROM {owners} AS owner JOIN {table} AS target ON target.{key} = owner.{key}
"""
_NAMED = """
SELECT staged.*, COALESCE(owner.object, {stranger} || staged.object_id) AS object FROM {staged} AS staged
LEFT JOIN ({owners}) AS owner ON owner.label = staged.object_type AND owner.origin = staged.object_id
"""
_FRESH = """
SELECT * FROM ({named}) AS named
WHERE NOT EXISTS (SELECT FROM {audit} AS known WHERE known.object_id = named.object AND {same})
    AND NOT EXISTS (SELECT FROM {audit} AS known WHERE known.object_id = named.object_id AND {same})
"""
_SAME = ("created_at", "action", "object_type", "performed_by", "changes")


def link(staging: Staging, field: str, reference: str, owners: Merge) -> None:
    """Set a foreign key from the extra column ``reference``, for owners that have a row in their table."""
    _execute(_LINK, staging, owners, reference, column=column_of(staging.field(field)))
    staging.count()


def dangling(
    staging: Staging, reference: str, owners: Merge, limit: int
) -> tuple[list[tuple[int, str]], int]:
    """``(place, reference)`` of the first rows whose owner was not staged; and how many."""
    rows = _execute(_DANGLING, staging, owners, reference, limit)
    return [row[1:] for row in rows], rows[0][0] if rows else 0


class Adoption:
    """Staged audit rows on their way into the audit log: those that it does not have yet.

    ``owners`` are what they speak of. An object that was not staged is marked with the word ``stranger``.
    """

    def __init__(self, staging: Staging, owners: Sequence[Merge], stranger: str = "") -> None:
        self.staging = staging
        audit = identifier(AuditLog._meta.db_table)
        named = sql.SQL(_NAMED).format(
            stranger=sql.Literal(stranger),
            staged=staging.table,
            owners=sql.SQL(" UNION ALL ").join(map(_owners, owners)),
        )
        same = [sql.SQL("known.{0} = named.{0}").format(sql.Identifier(name)) for name in _SAME]
        self._fresh = sql.SQL(_FRESH).format(named=named, audit=audit, same=sql.SQL(" AND ").join(same))

    def count(self) -> int:
        """How many would be added."""
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL("SELECT count(*) FROM ({}) AS fresh").format(self._fresh))
            return int(cursor.fetchone()[0])

    def insert(self) -> int:
        """Add them, under new numbers and as rows of no run; how many. In a transaction."""
        columns = [column_of(field) for field in self.staging.fields]
        values = [_object(name) for name in (field.name for field in self.staging.fields)]
        statement = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM ({}) AS fresh ORDER BY {}").format(
            identifier(AuditLog._meta.db_table),
            sql.SQL(", ").join(columns),
            sql.SQL(", ").join(values),
            self._fresh,
            sql.Identifier(PLACE),
        )
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return int(cursor.rowcount)


def reset_sequences(tables: Sequence[type[models.Model]]) -> None:
    """New rows get keys beyond the highest one."""
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), tables):
            cursor.execute(statement)


def _object(name: str) -> sql.Composable:
    return sql.Identifier("object" if name == "object_id" else name)


def _owners(merge: Merge) -> sql.Composable:
    meta = merge.staging.model._meta
    return sql.SQL(_OWNERS).format(label=sql.Literal(meta.label_lower), **_names(merge))


def _names(owners: Merge) -> dict[str, sql.Composable]:
    meta = owners.staging.model._meta
    return {
        "owners": owners.staging.table,
        "table": identifier(meta.db_table),
        "pk": column_of(meta.pk),
        "key": column_of(owners.key),
        "origin": sql.Identifier(ORIGIN),
    }


def _execute(
    statement: str, staging: Staging, owners: Merge, reference: str, *params: int, **parts: sql.Composable
) -> list[tuple[int, int, str]]:
    composed = sql.SQL(statement).format(
        staged=staging.table,
        reference=sql.Identifier(reference),
        place=sql.Identifier(PLACE),
        **_names(owners),
        **parts,
    )
    with connection.cursor() as cursor:
        cursor.execute(composed, params)
        return cursor.fetchall() if cursor.description else []
