"""Insert and update a table from staged rows, and write the audit rows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from django.db import connection, models
from psycopg import sql

from ops.models import AuditLog
from ops.sql.changes import AuditContext, ColumnChange, build_changes_json
from ops.sql.column_defaults import ColumnDefaults
from ops.sql.compile import auto_now_assignments, format_assignment, identifier
from ops.sql.staging import POSITION_COLUMN, StagingTable, column_identifier

# Both forms of each key are looked up by index, without a scan. Other encodings have no Unicode forms.
_NORMALIZE_KEYS_SQL = """
UPDATE {staged} AS staged SET {key} = COALESCE(
    (SELECT {key} FROM {table} WHERE {key} = normalize(staged.{key}, NFC)),
    (SELECT {key} FROM {table} WHERE {key} = normalize(staged.{key}, NFD)))
WHERE getdatabaseencoding() = 'UTF8' AND octet_length(staged.{key}) <> char_length(staged.{key})
    AND NOT EXISTS (SELECT FROM {table} AS target WHERE target.{key} = staged.{key})
    AND EXISTS (SELECT FROM {table} AS target
        WHERE target.{key} IN (normalize(staged.{key}, NFC), normalize(staged.{key}, NFD)))
"""


class Upsert:
    """Upsert of staged rows into the table of their model, matched by one unique field.

    A field that is NULL in the staging table keeps its stored value. The JSON objects of the fields
    ``merged_json`` are merged into the stored ones by ``||``. The fields ``insert_only`` are written to new
    rows only, and not audited.

    INSERT and UPDATE are two statements, since MERGE has RETURNING only from PostgreSQL 17 on, and ON
    CONFLICT DO UPDATE does not return the old values. Both insert the audit rows of the rows that they wrote:
    old values from the locked row, new ones from RETURNING.
    """

    def __init__(
        self,
        staging: StagingTable,
        key: str,
        merged_json: frozenset[str] = frozenset(),
        insert_only: frozenset[str] = frozenset(),
    ) -> None:
        self.staging = staging
        self.merged_json = merged_json
        self.insert_only = insert_only
        self.key = staging.get_field(key)
        meta = staging.model._meta
        self.identifiers: dict[str, sql.Composable] = {
            "staged": staging.table,
            "position": sql.Identifier(POSITION_COLUMN),
            "key": column_identifier(self.key),
            "table": identifier(meta.db_table),
            "pk": column_identifier(meta.pk),
        }

    def normalize_keys(self) -> None:
        """Replace staged keys by the stored ones that differ in their Unicode form only (NFC or NFD).

        Both look the same: without this, a load would create a second row of the same name.
        """
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL(_NORMALIZE_KEYS_SQL).format(**self.identifiers))

    def keys(self) -> list[str]:
        """Return the keys of the staged rows, in the order of the source."""
        return [key for (key,) in self._fetch_rows("SELECT {key} FROM {staged} ORDER BY {position}")]

    def count_changes(self) -> tuple[int, int]:
        """Count the rows that a load would create and change; what triggers would do is not counted."""
        ((created, changed),) = self._fetch_rows(
            "SELECT count(*) FILTER (WHERE target.{pk} IS NULL),"
            " count(*) FILTER (WHERE target.{pk} IS NOT NULL AND ({differs}))"
            " FROM {staged} AS staged LEFT JOIN {table} AS target ON target.{key} = staged.{key}",
            differs=self._row_differs_sql(),
        )
        return created, changed

    def sample_created(self, limit: int) -> list[tuple[str, dict[str, Any]]]:
        """Return ``(key, given values)`` of the first new rows."""
        given = [
            ColumnChange(f, None, qualified_column("staged", f), is_given_sql(f))
            for f in self.given_audited_fields
        ]
        return self._fetch_samples(
            "SELECT {key}, {changes} FROM {staged} AS staged WHERE NOT EXISTS (SELECT FROM {table} AS target"
            " WHERE target.{key} = staged.{key}) ORDER BY {position} LIMIT %s",
            limit,
            changes=build_changes_json(given),
        )

    def sample_changed(self, limit: int) -> list[tuple[str, dict[str, Any]]]:
        """Return ``(key, changes)`` of the first rows that would change."""
        changes = [
            ColumnChange(f, qualified_column("target", f), self.merged_value(f), self._field_differs_sql(f))
            for f in self.given_audited_fields
        ]
        return self._fetch_samples(
            "SELECT staged.{key}, {changes} FROM {staged} AS staged JOIN {table} AS target"
            " ON target.{key} = staged.{key} WHERE {differs} ORDER BY {position} LIMIT %s",
            limit,
            changes=build_changes_json(changes),
            differs=self._row_differs_sql(),
        )

    def insert(self, context: AuditContext) -> int:
        """Insert and audit the rows that the table lacks; return how many. Needs a transaction."""
        if not self.staging.row_count:  # no row gives a column, and an INSERT needs one at least
            return 0
        fields = self._inserted_fields
        return self._write_with_audit(
            "INSERT INTO {table} ({columns}) SELECT {values} FROM {staged} AS staged WHERE NOT EXISTS"
            " (SELECT FROM {table} AS target WHERE target.{key} = staged.{key}) ORDER BY {position}"
            " ON CONFLICT ({key}) DO NOTHING RETURNING *",
            context,
            changes=build_changes_json(
                ColumnChange(f, None, column_identifier(f), self._is_audited_sql(f))
                for f in self._audited_fields
            ),
            columns=_comma_separated(column_identifier(f) for f in fields),
            values=_comma_separated(self._insert_value(f) for f in fields),
        )

    def update(self, context: AuditContext, *, only_given: str = "", only_missing: str = "") -> int:
        """Update and audit the rows that differ from the staged ones; return how many. Needs a transaction.

        ``only_given`` and ``only_missing`` name a field: only staged rows that give it, or do not, are used.
        """
        fields = self._audited_fields
        changeable = [f for f in self.given_audited_fields if f is not self.key]
        if not changeable:
            return 0
        assignments = [
            format_assignment(f, sql.SQL("differing.{}").format(_new_alias(f))) for f in changeable
        ]
        assignments += auto_now_assignments(self.staging.model, changeable)
        return self._write_with_audit(
            "UPDATE {table} AS target SET {assignments} FROM (SELECT target.{pk}, {old}, {new} FROM {staged}"
            " AS staged JOIN {table} AS target ON target.{key} = staged.{key} WHERE ({differs})"
            " AND {subset} FOR NO KEY UPDATE OF target) AS differing WHERE target.{pk} = differing.{pk}"
            " RETURNING target.*, {returned}",
            context,
            changes=build_changes_json(_replaced_value(f) for f in fields),
            assignments=_comma_separated(assignments),
            old=_comma_separated(
                sql.SQL("{} AS {}").format(qualified_column("target", f), _old_alias(f)) for f in fields
            ),
            new=_comma_separated(
                sql.SQL("{} AS {}").format(self.merged_value(f), _new_alias(f)) for f in changeable
            ),
            differs=self._row_differs_sql(),
            subset=self._subset_condition(only_given, only_missing),
            returned=_comma_separated(_old_alias(f) for f in fields),
        )

    def insert_all(self, key_column: str | None = None) -> int:
        """Insert all staged rows, unaudited; return how many. ``key_column`` has keys to keep."""
        if not self.staging.row_count:
            return 0
        fields = self._inserted_fields
        columns, values = [column_identifier(f) for f in fields], [self._insert_value(f) for f in fields]
        if key_column:
            columns.append(self.identifiers["pk"])
            values.append(sql.SQL("{}::bigint").format(identifier("staged", key_column)))
        statement = sql.SQL(
            "INSERT INTO {table} ({columns}) SELECT {values} FROM {staged} AS staged ORDER BY {position}"
        )
        with connection.cursor() as cursor:
            cursor.execute(
                statement.format(
                    **self.identifiers, columns=_comma_separated(columns), values=_comma_separated(values)
                )
            )
            return int(cursor.rowcount)

    def has_missing_rows(self) -> bool:
        """Whether the table lacks a staged row."""
        return bool(
            self._fetch_rows(
                "SELECT FROM {staged} AS staged WHERE NOT EXISTS (SELECT FROM {table} AS target"
                " WHERE target.{key} = staged.{key}) LIMIT 1"
            )
        )

    def _write_with_audit(self, statement: str, context: AuditContext, **parts: sql.Composable) -> int:
        audit_params = [context.action, self.staging.model._meta.label_lower, context.performed_by]
        ((count,),) = self._fetch_rows(
            "WITH written AS ({write}), audited AS (INSERT INTO {audit}"
            " (action, object_type, object_id, performed_by, changes, metadata)"
            " SELECT %s, %s, {pk}::text, %s, {changes}, %s::jsonb FROM written RETURNING 1)"
            " SELECT count(*) FROM audited",
            [*audit_params, json.dumps(context.metadata)],
            write=sql.SQL(statement).format(**self.identifiers, **parts),
            audit=identifier(AuditLog._meta.db_table),
            changes=parts["changes"],
        )
        return int(count)

    def _fetch_samples(
        self, statement: str, limit: int, **parts: sql.Composable
    ) -> list[tuple[str, dict[str, Any]]]:
        # Django makes psycopg return jsonb as text, since its fields decode it.
        return [(key, json.loads(changes)) for key, changes in self._fetch_rows(statement, [limit], **parts)]

    def _fetch_rows(
        self, statement: str, params: list[Any] | None = None, **parts: sql.Composable
    ) -> list[Any]:
        composed = sql.SQL(statement).format(**self.identifiers, **parts)
        with connection.cursor() as cursor:
            cursor.execute(composed, params or [])
            rows: list[Any] = cursor.fetchall()
            return rows

    @property
    def _audited_fields(self) -> list[models.Field[Any, Any]]:
        """The fields that are compared and audited."""
        return [field for field in self.staging.fields if field.name not in self.insert_only]

    @property
    def given_audited_fields(self) -> list[models.Field[Any, Any]]:
        """Those of them that at least one row gives."""
        return [field for field in self.staging.given_fields if field.name not in self.insert_only]

    def _row_differs_sql(self) -> sql.Composable:
        """Whether the staged row would change the target row."""
        return sql.SQL(" OR ").join(
            [sql.SQL("FALSE"), *(self._field_differs_sql(f) for f in self.given_audited_fields)]
        )

    def _subset_condition(self, only_given: str, only_missing: str) -> sql.Composable:
        conditions = [is_given_sql(self.staging.get_field(only_given))] if only_given else []
        if only_missing:
            conditions.append(sql.SQL("NOT ({})").format(is_given_sql(self.staging.get_field(only_missing))))
        return sql.SQL(" AND ").join([sql.SQL("TRUE"), *conditions])

    def _field_differs_sql(self, field: models.Field[Any, Any]) -> sql.Composable:
        changed = _is_distinct_sql(qualified_column("target", field), self.merged_value(field))
        return sql.SQL("({} AND {})").format(is_given_sql(field), changed)

    def merged_value(self, field: models.Field[Any, Any]) -> sql.Composable:
        """What a stored row would have in the field after the load."""
        if field.name in self.merged_json:
            return sql.SQL("(target.{0} || COALESCE(staged.{0}, '{{}}'))").format(column_identifier(field))
        return sql.SQL("COALESCE(staged.{0}, target.{0})").format(column_identifier(field))

    @property
    def _inserted_fields(self) -> list[models.Field[Any, Any]]:
        given = self.staging.given_fields
        return [f for f in self.staging.fields if f in given or self._defaults.is_in_trigger(f)]

    def _insert_value(self, field: models.Field[Any, Any]) -> sql.Composable:
        return sql.SQL("COALESCE(staged.{}, {})").format(
            column_identifier(field), self._defaults.inserted_value(field)
        )

    def _is_audited_sql(self, field: models.Field[Any, Any]) -> sql.Composable:
        """Whether the audit row of a new row has the column: it was given, or a trigger has written it."""
        if field in self.staging.given_fields:
            return sql.SQL("TRUE")
        return _is_distinct_sql(column_identifier(field), self._defaults.value(field))

    @cached_property
    def _defaults(self) -> ColumnDefaults:
        return ColumnDefaults(self.staging.model)


def _old_alias(field: models.Field[Any, Any]) -> sql.Composable:
    return identifier(f"old_{field.column}")


def _replaced_value(field: models.Field[Any, Any]) -> ColumnChange:
    old, new = _old_alias(field), column_identifier(field)
    return ColumnChange(field, old, new, _is_distinct_sql(old, new))


def _new_alias(field: models.Field[Any, Any]) -> sql.Composable:
    return identifier(f"new_{field.column}")


def qualified_column(table: str, field: models.Field[Any, Any]) -> sql.Composable:
    return identifier(table, str(field.column))


def is_given_sql(field: models.Field[Any, Any]) -> sql.Composable:
    return sql.SQL("{} IS NOT NULL").format(qualified_column("staged", field))


def _is_distinct_sql(left: sql.Composable, right: sql.Composable) -> sql.Composable:
    return sql.SQL("{} IS DISTINCT FROM {}").format(left, right)


def _comma_separated(parts: Iterable[sql.Composable]) -> sql.Composable:
    return sql.SQL(", ").join(parts)
