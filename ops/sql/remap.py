"""Rows that come from another database, where they had other keys: their references, their audit rows."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.management.color import no_style
from django.db import connection, models
from psycopg import sql

from ops.models import AuditLog
from ops.sql.compile import identifier
from ops.sql.staging import POSITION_COLUMN, StagingTable, column_identifier
from ops.sql.upsert import Upsert

ORIGINAL_KEY = "_origin"  # the extra column with the key that a row had where it comes from

_RESOLVE_KEYS_SQL = """
UPDATE {staged} AS staged SET {column} = target.{pk}
FROM {owners} AS owner JOIN {table} AS target ON target.{key} = owner.{key}
WHERE staged.{reference} = owner.{origin}
"""
_DANGLING_SQL = """
SELECT count(*) OVER (), {place}, {reference} FROM {staged} AS staged
WHERE {reference} IS NOT NULL
    AND NOT EXISTS (SELECT FROM {owners} AS owner WHERE owner.{origin} = staged.{reference})
ORDER BY {place} LIMIT %s
"""
# An audit row names its object by label and key, and the key is another one here. What was not exported,
# since it was gone by then, must not pass for the row that has its number here.
_KEY_MAP_SQL = """
SELECT {label} AS label, owner.{origin} AS origin, target.{pk}::text AS object
FROM {owners} AS owner JOIN {table} AS target ON target.{key} = owner.{key}
"""
_REMAPPED_SQL = """
SELECT staged.*, COALESCE(owner.object, {stranger} || staged.object_id) AS object FROM {staged} AS staged
LEFT JOIN ({owners}) AS owner ON owner.label = staged.object_type AND owner.origin = staged.object_id
"""
_NEW_ROWS_SQL = """
SELECT * FROM ({named}) AS named
WHERE NOT EXISTS (SELECT FROM {audit} AS known WHERE known.object_id = named.object AND {same})
    AND NOT EXISTS (SELECT FROM {audit} AS known WHERE known.object_id = named.object_id AND {same})
"""
_IDENTITY_COLUMNS = ("created_at", "action", "object_type", "performed_by", "changes")


def resolve_foreign_keys(staging: StagingTable, field: str, reference: str, owners: Upsert) -> None:
    """Set a foreign key from the extra column ``reference``, for owners that have a row in their table."""
    _execute(_RESOLVE_KEYS_SQL, staging, owners, reference, column=column_identifier(staging.field(field)))
    staging.count()


def find_dangling_references(
    staging: StagingTable, reference: str, owners: Upsert, limit: int
) -> tuple[list[tuple[int, str]], int]:
    """``(place, reference)`` of the first rows whose owner was not staged; and how many."""
    rows = _execute(_DANGLING_SQL, staging, owners, reference, limit)
    return [row[1:] for row in rows], rows[0][0] if rows else 0


class AuditImport:
    """Staged audit rows on their way into the audit log: those that it does not have yet.

    ``owners`` are what they speak of. An object that was not staged is marked with the word ``stranger``.
    """

    def __init__(self, staging: StagingTable, owners: Sequence[Upsert], stranger: str = "") -> None:
        self.staging = staging
        audit = identifier(AuditLog._meta.db_table)
        named = sql.SQL(_REMAPPED_SQL).format(
            stranger=sql.Literal(stranger),
            staged=staging.table,
            owners=sql.SQL(" UNION ALL ").join(map(_key_map, owners)),
        )
        same = [sql.SQL("known.{0} = named.{0}").format(sql.Identifier(name)) for name in _IDENTITY_COLUMNS]
        self._fresh = sql.SQL(_NEW_ROWS_SQL).format(
            named=named, audit=audit, same=sql.SQL(" AND ").join(same)
        )

    def count(self) -> int:
        """How many would be added."""
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL("SELECT count(*) FROM ({}) AS fresh").format(self._fresh))
            return int(cursor.fetchone()[0])

    def insert(self) -> int:
        """Add them, under new numbers and as rows of no run; how many. In a transaction."""
        columns = [column_identifier(field) for field in self.staging.fields]
        values = [_source_column(name) for name in (field.name for field in self.staging.fields)]
        statement = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM ({}) AS fresh ORDER BY {}").format(
            identifier(AuditLog._meta.db_table),
            sql.SQL(", ").join(columns),
            sql.SQL(", ").join(values),
            self._fresh,
            sql.Identifier(POSITION_COLUMN),
        )
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return int(cursor.rowcount)


def reset_sequences(tables: Sequence[type[models.Model]]) -> None:
    """New rows get keys beyond the highest one."""
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), tables):
            cursor.execute(statement)


def _source_column(name: str) -> sql.Composable:
    return sql.Identifier("object" if name == "object_id" else name)


def _key_map(merge: Upsert) -> sql.Composable:
    meta = merge.staging.model._meta
    return sql.SQL(_KEY_MAP_SQL).format(label=sql.Literal(meta.label_lower), **_owner_identifiers(merge))


def _owner_identifiers(owners: Upsert) -> dict[str, sql.Composable]:
    meta = owners.staging.model._meta
    return {
        "owners": owners.staging.table,
        "table": identifier(meta.db_table),
        "pk": column_identifier(meta.pk),
        "key": column_identifier(owners.key),
        "origin": sql.Identifier(ORIGINAL_KEY),
    }


def _execute(
    statement: str,
    staging: StagingTable,
    owners: Upsert,
    reference: str,
    *params: int,
    **parts: sql.Composable,
) -> list[tuple[int, int, str]]:
    composed = sql.SQL(statement).format(
        staged=staging.table,
        reference=sql.Identifier(reference),
        place=sql.Identifier(POSITION_COLUMN),
        **_owner_identifiers(owners),
        **parts,
    )
    with connection.cursor() as cursor:
        cursor.execute(composed, params)
        return cursor.fetchall() if cursor.description else []
