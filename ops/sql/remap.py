"""Map the primary keys of another database to the ones here, in foreign keys and in audit rows."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.management.color import no_style
from django.db import connection, models
from psycopg import sql

from ops.models import AuditLog
from ops.sql.compile import identifier
from ops.sql.staging import POSITION_COLUMN, StagingTable, column_identifier
from ops.sql.upsert import Upsert

ORIGINAL_KEY = "_origin"  # the extra column with the primary key of the other database

_RESOLVE_KEYS_SQL = """
UPDATE {staged} AS staged SET {column} = target.{pk}
FROM {owners} AS owner JOIN {table} AS target ON target.{key} = owner.{key}
WHERE staged.{reference} = owner.{origin}
"""
_DANGLING_SQL = """
SELECT count(*) OVER (), {position}, {reference} FROM {staged} AS staged
WHERE {reference} IS NOT NULL
    AND NOT EXISTS (SELECT FROM {owners} AS owner WHERE owner.{origin} = staged.{reference})
ORDER BY {position} LIMIT %s
"""
# An audit row names its object by model label and key, and the key is another one here. Objects that were
# deleted before the export must not be taken for the row that has the same number here.
_KEY_MAP_SQL = """
SELECT {label} AS label, owner.{origin} AS origin, target.{pk}::text AS object
FROM {owners} AS owner JOIN {table} AS target ON target.{key} = owner.{key}
"""
_REMAPPED_SQL = """
SELECT staged.*, COALESCE(owner.object, {unknown_prefix} || staged.object_id) AS object
FROM {staged} AS staged
LEFT JOIN ({owners}) AS owner ON owner.label = staged.object_type AND owner.origin = staged.object_id
"""
_NEW_ROWS_SQL = """
SELECT * FROM ({remapped}) AS remapped
WHERE NOT EXISTS (SELECT FROM {audit} AS stored WHERE stored.object_id = remapped.object AND {same})
    AND NOT EXISTS (SELECT FROM {audit} AS stored WHERE stored.object_id = remapped.object_id AND {same})
"""
_IDENTITY_COLUMNS = ("created_at", "action", "object_type", "performed_by", "changes")


def resolve_foreign_keys(staging: StagingTable, field: str, reference: str, owners: Upsert) -> None:
    """Set a foreign key from the extra column ``reference``, where the owner's table has the row."""
    _execute(
        _RESOLVE_KEYS_SQL, staging, owners, reference, column=column_identifier(staging.get_field(field))
    )
    staging.refresh_counts()


def find_dangling_references(
    staging: StagingTable, reference: str, owners: Upsert, limit: int
) -> tuple[list[tuple[int, str]], int]:
    """Return ``(position, reference)`` of the first rows whose owner was not staged; and the count of all."""
    rows = _execute(_DANGLING_SQL, staging, owners, reference, limit)
    return [row[1:] for row in rows], rows[0][0] if rows else 0


class AuditImport:
    """Import of the staged audit rows that the audit log does not have yet.

    ``owners`` are the staged tables that they refer to. ``unknown_prefix`` is put before the key of an object
    that was not staged.
    """

    def __init__(self, staging: StagingTable, owners: Sequence[Upsert], unknown_prefix: str = "") -> None:
        self.staging = staging
        audit = identifier(AuditLog._meta.db_table)
        remapped = sql.SQL(_REMAPPED_SQL).format(
            unknown_prefix=sql.Literal(unknown_prefix),
            staged=staging.table,
            owners=sql.SQL(" UNION ALL ").join(map(_key_map, owners)),
        )
        same = [
            sql.SQL("stored.{0} = remapped.{0}").format(sql.Identifier(name)) for name in _IDENTITY_COLUMNS
        ]
        self._new_rows = sql.SQL(_NEW_ROWS_SQL).format(
            remapped=remapped, audit=audit, same=sql.SQL(" AND ").join(same)
        )

    def count(self) -> int:
        """Count the rows that would be added."""
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL("SELECT count(*) FROM ({}) AS new_rows").format(self._new_rows))
            return int(cursor.fetchone()[0])

    def insert(self) -> int:
        """Insert them with new keys and without a run; return how many. Needs a transaction."""
        columns = [column_identifier(field) for field in self.staging.fields]
        values = [_source_column(name) for name in (field.name for field in self.staging.fields)]
        statement = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM ({}) AS new_rows ORDER BY {}").format(
            identifier(AuditLog._meta.db_table),
            sql.SQL(", ").join(columns),
            sql.SQL(", ").join(values),
            self._new_rows,
            sql.Identifier(POSITION_COLUMN),
        )
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return int(cursor.rowcount)


def reset_sequences(tables: Sequence[type[models.Model]]) -> None:
    """Set the sequences of the tables to their highest primary key."""
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), tables):
            cursor.execute(statement)


def _source_column(name: str) -> sql.Composable:
    return sql.Identifier("object" if name == "object_id" else name)


def _key_map(owners: Upsert) -> sql.Composable:
    meta = owners.staging.model._meta
    return sql.SQL(_KEY_MAP_SQL).format(label=sql.Literal(meta.label_lower), **_owner_identifiers(owners))


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
        position=sql.Identifier(POSITION_COLUMN),
        **_owner_identifiers(owners),
        **parts,
    )
    with connection.cursor() as cursor:
        cursor.execute(composed, params)
        return cursor.fetchall() if cursor.description else []
