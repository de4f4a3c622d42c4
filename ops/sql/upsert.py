"""An upsert of staged rows with their audit rows, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from django.db import connection, models
from psycopg import sql

from ops.models import AuditLog
from ops.sql.changes import AuditContext, ColumnChange, build_changes_json
from ops.sql.compile import auto_now_assignments, format_assignment, identifier
from ops.sql.staging import POSITION_COLUMN, StagingTable, column_identifier

# Each key is looked up by its two forms: the table is not walked. Other encodings have no forms.
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
    """Staged rows against their table, matched by one unique field.

    A field that is NULL in the staging keeps what the row holds. The JSON objects in ``overlaid`` are laid
    over the stored ones: keys that they name are replaced, the others stay. The fields in ``once`` are
    written into new rows only, and not audited.

    INSERT and UPDATE are statements of their own, since MERGE returns rows only from PostgreSQL 17 on, and ON
    CONFLICT DO UPDATE cannot tell the old values. Both write the audit rows of what they wrote: old from the
    locked row, new from RETURNING.
    """

    def __init__(
        self,
        staging: StagingTable,
        key: str,
        overlaid: frozenset[str] = frozenset(),
        once: frozenset[str] = frozenset(),
    ) -> None:
        self.staging = staging
        self.overlaid = overlaid
        self.once = once
        self.key = staging.field(key)
        meta = staging.model._meta
        self._names: dict[str, sql.Composable] = {
            "staged": staging.table,
            "place": sql.Identifier(POSITION_COLUMN),
            "key": column_identifier(self.key),
            "table": identifier(meta.db_table),
            "pk": column_identifier(meta.pk),
        }

    def spell_as_stored(self) -> None:
        """Take a key for a stored one that differs in the form of its accents alone (Unicode's NFC and NFD).

        Both look the same, so that another row would be a second one of the same name.
        """
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL(_NORMALIZE_KEYS_SQL).format(**self._names))

    def keys(self) -> list[str]:
        """The keys of the staged rows, in their order."""
        return [key for (key,) in self._rows("SELECT {key} FROM {staged} ORDER BY {place}")]

    def count(self) -> tuple[int, int]:
        """How many rows a merge would create and change, triggers left out of account."""
        ((created, changed),) = self._rows(
            "SELECT count(*) FILTER (WHERE target.{pk} IS NULL),"
            " count(*) FILTER (WHERE target.{pk} IS NOT NULL AND ({differs}))"
            " FROM {staged} AS staged LEFT JOIN {table} AS target ON target.{key} = staged.{key}",
            differs=self._differs(),
        )
        return created, changed

    def sample_created(self, limit: int) -> list[tuple[str, dict[str, Any]]]:
        """``(key, given values)`` of the first new rows."""
        given = [ColumnChange(f, None, _qualified_column("staged", f), _is_given_sql(f)) for f in self._given]
        return self._samples(
            "SELECT {key}, {changes} FROM {staged} AS staged WHERE NOT EXISTS (SELECT FROM {table} AS target"
            " WHERE target.{key} = staged.{key}) ORDER BY {place} LIMIT %s",
            limit,
            changes=build_changes_json(given),
        )

    def sample_changed(self, limit: int) -> list[tuple[str, dict[str, Any]]]:
        """``(key, changes)`` of the first rows that would change."""
        changes = [
            ColumnChange(f, _qualified_column("target", f), self._new(f), self._changes(f))
            for f in self._given
        ]
        return self._samples(
            "SELECT staged.{key}, {changes} FROM {staged} AS staged JOIN {table} AS target"
            " ON target.{key} = staged.{key} WHERE {differs} ORDER BY {place} LIMIT %s",
            limit,
            changes=build_changes_json(changes),
            differs=self._differs(),
        )

    def insert(self, signature: AuditContext) -> int:
        """Create and audit the rows that the table does not have; how many. In a transaction."""
        if not self.staging.total:  # no row gives a column, and an INSERT names one at least
            return 0
        given = self.staging.given
        return self._write(
            "INSERT INTO {table} ({columns}) SELECT {values} FROM {staged} AS staged WHERE NOT EXISTS"
            " (SELECT FROM {table} AS target WHERE target.{key} = staged.{key}) ORDER BY {place}"
            " ON CONFLICT ({key}) DO NOTHING RETURNING *",
            signature,
            changes=build_changes_json(
                ColumnChange(f, None, column_identifier(f), self._counts(f)) for f in self._fields
            ),
            columns=_comma_separated(column_identifier(f) for f in given),
            values=_comma_separated(self._value(f) for f in given),
        )

    def update(self, signature: AuditContext, *, giving: str = "", lacking: str = "") -> int:
        """Change and audit the rows that differ, on their newest versions; how many. In a transaction.

        Only those that give a field, or that do not, where it is named.
        """
        fields = self._fields
        changeable = [f for f in self._given if f is not self.key]
        if not changeable:
            return 0
        assignments = [
            format_assignment(f, sql.SQL("differing.{}").format(_new_alias(f))) for f in changeable
        ]
        assignments += auto_now_assignments(self.staging.model)
        return self._write(
            "UPDATE {table} AS target SET {assignments} FROM (SELECT target.{pk}, {old}, {new} FROM {staged}"
            " AS staged JOIN {table} AS target ON target.{key} = staged.{key} WHERE ({differs}) AND {among}"
            " FOR NO KEY UPDATE OF target) AS differing WHERE target.{pk} = differing.{pk}"
            " RETURNING target.*, {returned}",
            signature,
            changes=build_changes_json(
                ColumnChange(
                    f,
                    _old_alias(f),
                    column_identifier(f),
                    _is_distinct_sql(_old_alias(f), column_identifier(f)),
                )
                for f in fields
            ),
            assignments=_comma_separated(assignments),
            old=_comma_separated(
                sql.SQL("{} AS {}").format(_qualified_column("target", f), _old_alias(f)) for f in fields
            ),
            new=_comma_separated(sql.SQL("{} AS {}").format(self._new(f), _new_alias(f)) for f in changeable),
            differs=self._differs(),
            among=self._among(giving, lacking),
            returned=_comma_separated(_old_alias(f) for f in fields),
        )

    def copy(self, origin: str | None = None) -> int:
        """Create every staged row as it is, and audit none; ``origin`` is the extra column with the keys."""
        if not self.staging.total:
            return 0
        given = self.staging.given
        columns, values = [column_identifier(f) for f in given], [self._value(f) for f in given]
        if origin:
            columns.append(self._names["pk"])
            values.append(sql.SQL("{}::bigint").format(identifier("staged", origin)))
        statement = sql.SQL(
            "INSERT INTO {table} ({columns}) SELECT {values} FROM {staged} AS staged ORDER BY {place}"
        )
        with connection.cursor() as cursor:
            cursor.execute(
                statement.format(
                    **self._names, columns=_comma_separated(columns), values=_comma_separated(values)
                )
            )
            return int(cursor.rowcount)

    def missing(self) -> bool:
        """Whether the table lacks a staged row."""
        return bool(
            self._rows(
                "SELECT FROM {staged} AS staged WHERE NOT EXISTS (SELECT FROM {table} AS target"
                " WHERE target.{key} = staged.{key}) LIMIT 1"
            )
        )

    def _write(self, statement: str, signature: AuditContext, **parts: sql.Composable) -> int:
        said = [signature.action, self.staging.model._meta.label_lower, signature.performed_by]
        ((count,),) = self._rows(
            "WITH written AS ({write}), audited AS (INSERT INTO {audit}"
            " (action, object_type, object_id, performed_by, changes, metadata)"
            " SELECT %s, %s, {pk}::text, %s, {changes}, %s::jsonb FROM written RETURNING 1)"
            " SELECT count(*) FROM audited",
            [*said, json.dumps(signature.metadata)],
            write=sql.SQL(statement).format(**self._names, **parts),
            audit=identifier(AuditLog._meta.db_table),
            changes=parts["changes"],
        )
        return int(count)

    def _samples(
        self, statement: str, limit: int, **parts: sql.Composable
    ) -> list[tuple[str, dict[str, Any]]]:
        # Django has psycopg leave jsonb as text, for its fields to decode.
        return [(key, json.loads(changes)) for key, changes in self._rows(statement, [limit], **parts)]

    def _rows(self, statement: str, params: list[Any] | None = None, **parts: sql.Composable) -> list[Any]:
        composed = sql.SQL(statement).format(**self._names, **parts)
        with connection.cursor() as cursor:
            cursor.execute(composed, params or [])
            rows: list[Any] = cursor.fetchall()
            return rows

    @property
    def _fields(self) -> list[models.Field[Any, Any]]:
        """The fields that are compared and audited."""
        return [field for field in self.staging.fields if field.name not in self.once]

    @property
    def _given(self) -> list[models.Field[Any, Any]]:
        return [field for field in self.staging.given if field.name not in self.once]

    def _differs(self) -> sql.Composable:
        """Whether the staged row would change the target, as a condition on the target itself."""
        return sql.SQL(" OR ").join([sql.SQL("FALSE"), *(self._changes(f) for f in self._given)])

    def _among(self, giving: str, lacking: str) -> sql.Composable:
        among = [_is_given_sql(self.staging.field(giving))] if giving else []
        if lacking:
            among.append(sql.SQL("NOT ({})").format(_is_given_sql(self.staging.field(lacking))))
        return sql.SQL(" AND ").join([sql.SQL("TRUE"), *among])

    def _changes(self, field: models.Field[Any, Any]) -> sql.Composable:
        changed = _is_distinct_sql(_qualified_column("target", field), self._new(field))
        return sql.SQL("({} AND {})").format(_is_given_sql(field), changed)

    def _new(self, field: models.Field[Any, Any]) -> sql.Composable:
        if field.name in self.overlaid:
            return sql.SQL("(target.{0} || COALESCE(staged.{0}, '{{}}'))").format(column_identifier(field))
        return sql.SQL("COALESCE(staged.{0}, target.{0})").format(column_identifier(field))

    def _value(self, field: models.Field[Any, Any]) -> sql.Composable:
        return sql.SQL("COALESCE(staged.{}, {})").format(column_identifier(field), self._default(field))

    def _counts(self, field: models.Field[Any, Any]) -> sql.Composable:
        """Whether a new row's column belongs in its audit row: it was given, or a trigger has written it."""
        if field in self.staging.given:
            return sql.SQL("TRUE")
        return _is_distinct_sql(column_identifier(field), self._default(field))

    def _default(self, field: models.Field[Any, Any]) -> sql.Composable:
        return sql.SQL(self._defaults.get(field.column, "NULL").replace("%", "%%"))  # type: ignore[arg-type]

    @cached_property
    def _defaults(self) -> dict[str, str]:
        return dict(
            self._rows(
                "SELECT attname, pg_get_expr(adbin, adrelid) FROM pg_attrdef JOIN pg_attribute"
                " ON attrelid = adrelid AND attnum = adnum WHERE adrelid = %s::regclass",
                [f'"{self.staging.model._meta.db_table}"'],
            )
        )


def _old_alias(field: models.Field[Any, Any]) -> sql.Composable:
    return identifier(f"old_{field.column}")


def _new_alias(field: models.Field[Any, Any]) -> sql.Composable:
    return identifier(f"new_{field.column}")


def _qualified_column(table: str, field: models.Field[Any, Any]) -> sql.Composable:
    return identifier(table, str(field.column))


def _is_given_sql(field: models.Field[Any, Any]) -> sql.Composable:
    return sql.SQL("{} IS NOT NULL").format(_qualified_column("staged", field))


def _is_distinct_sql(one: sql.Composable, other: sql.Composable) -> sql.Composable:
    return sql.SQL("{} IS DISTINCT FROM {}").format(one, other)


def _comma_separated(parts: Iterable[sql.Composable]) -> sql.Composable:
    return sql.SQL(", ").join(parts)
