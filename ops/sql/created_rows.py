"""Create the rows of a change set, and delete rows that a run created, in batches with their audit rows.

See Note [A row that is to be created has its key among its changes].
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import connection
from django.db.models import Field, Model
from psycopg import sql

from ops.models import AuditLog, Run, StagedChange
from ops.sql import related_rows
from ops.sql.changes import ColumnChange, build_changes_json
from ops.sql.column_defaults import ColumnDefaults
from ops.sql.compile import auto_now_fields, identifier, is_json, type_name
from ops.sql.keylist import KeyList
from ops.sql.query import fetch_all

# Each batch is one transaction, after which a pause is noticed.
BATCH_SIZE = 2_000

_LISTED_SQL = """
SELECT entry.id AS position, entry.object_id, entry.changes FROM {entries} AS entry
WHERE entry.{owner} = {number} AND entry.changes #>> {side} IS NOT NULL
"""
_COUNT_SQL = "SELECT count(*) FROM ({listed}) AS listed"
_CREATABLE_SQL = """
WHERE NOT EXISTS ({done})
    AND NOT EXISTS (SELECT FROM {table} AS target WHERE target.{pk} = listed.object_id::{key_type})
"""
_WRITTEN_SQL = """
SELECT count(*) FROM ({listed}) AS listed JOIN {audit} AS log ON log.object_id = listed.object_id
WHERE log.run_id = %s
"""
_COLUMNS_SQL = "SELECT DISTINCT jsonb_object_keys(changes) FROM ({listed}) AS listed"
_DONE_SQL = "SELECT FROM {audit} WHERE run_id = {run} AND object_id = listed.object_id"
_AUDIT_SQL = """
INSERT INTO {audit} (run_id, action, object_type, object_id, performed_by, changes)
SELECT {run}, {action}, {label}, {pk}::text, {by}, {changes} FROM written RETURNING 1
"""
# Between the first and the last entry the index of the keys finds them, whatever else the table holds.
_BATCH_SQL = """batch AS MATERIALIZED (
    {listed} AND entry.id > %s AND entry.id <= %s ORDER BY entry.id LIMIT {limit})"""
_BOUNDS_SQL = "SELECT min(position), max(position) FROM ({listed}) AS listed"
_CREATE_SQL = """
WITH {batch}, written AS (
    INSERT INTO {table} ({columns}) SELECT {values} FROM batch AS listed WHERE NOT EXISTS ({done})
    ORDER BY position ON CONFLICT DO NOTHING RETURNING *),
audited AS ({audited})
SELECT (SELECT max(position) FROM batch), (SELECT count(*) FROM audited)
"""
_DELETE_SQL = """
WITH {batch}, gone AS MATERIALIZED (
    SELECT target.{pk} FROM batch AS listed
        JOIN {table} AS target ON target.{pk} = listed.object_id::{key_type}
    WHERE {unchanged} AND NOT EXISTS ({done}) FOR UPDATE OF target SKIP LOCKED),
{related}
written AS (DELETE FROM {table} AS target USING gone WHERE target.{pk} = gone.{pk} RETURNING target.*),
audited AS ({audited})
SELECT (SELECT max(position) FROM batch), (SELECT count(*) FROM audited)
"""
_UNCHANGED_SQL = """
SELECT listed.object_id FROM ({listed}) AS listed
    JOIN {table} AS target ON target.{pk} = listed.object_id::{key_type}
WHERE {unchanged} AND NOT EXISTS ({done}) {narrowed}
"""


@dataclass(frozen=True)
class RowList:
    """The entries of ``key_list`` whose rows exist on one ``side``, "old" or "new", and not on the other.

    ``run`` creates or deletes the rows; None where they are only asked for.
    """

    model: type[Model]
    key_list: KeyList
    side: str
    run: Run | None = None

    def count_listed(self) -> int:
        [(count,)] = fetch_all(self._compose(_COUNT_SQL).as_string())
        return int(count)

    def count_creatable(self) -> int:
        """Count the rows that are not there, and that the run has not created yet."""
        [(count,)] = fetch_all(self._compose(_COUNT_SQL + _CREATABLE_SQL).as_string())
        return int(count)

    def count_written(self, run: Run) -> int:
        """Count the rows that the run has created or deleted."""
        [(count,)] = fetch_all(self._compose(_WRITTEN_SQL).as_string(), run.pk)
        return int(count)

    def create_batch(self, after: int) -> tuple[int | None, int]:
        """Create the rows of the next entries; return the last entry, None after the last, and how many rows.

        A row whose unique values another row has by now is left out. In canonical output.
        """
        return self._execute(
            _CREATE_SQL,
            after,
            columns=_join(identifier(field.column) for field in self._inserted),
            values=_join(self._inserted_value(field) for field in self._inserted),
            audited=self._audit(
                ColumnChange(field, None, identifier(field.column)) for field in self._audited_fields
            ),
        )

    def delete_batch(self, after: int, derived: Collection[str]) -> tuple[int | None, int]:
        """Delete the rows of the next entries that are as the entries say; return as ``create_batch``.

        The columns ``derived`` are computed from others, and are not compared.
        """
        audited = (
            ColumnChange(field, identifier(field.column), sql.SQL("NULL::text"))
            for field in self._audited_fields
        )
        return self._execute(
            _DELETE_SQL,
            after,
            unchanged=self._is_unchanged(derived),
            related=related_rows.delete_clauses(self.model, self._who),
            audited=self._audit(audited),
        )

    def find_unchanged(self, derived: Collection[str], keys: Collection[str] | None = None) -> list[str]:
        """Return the keys, all or those among ``keys``, of rows that ``delete_batch`` would delete now."""
        narrowed = sql.SQL("" if keys is None else "AND listed.object_id = ANY(%s)")
        statement = self._compose(_UNCHANGED_SQL, unchanged=self._is_unchanged(derived), narrowed=narrowed)
        found = fetch_all(statement.as_string(), *([] if keys is None else [list(keys)]))
        return [key for (key,) in found]

    @property
    def _pk(self) -> Any:
        return self.model._meta.pk

    @cached_property
    def _audited_fields(self) -> list[Field[Any, Any]]:
        """All columns with values of their own, and the key, which marks the row as created or deleted."""
        ignored = auto_now_fields(self.model)
        return [field for field in self.model._meta.local_concrete_fields if field not in ignored]

    @cached_property
    def _bounds(self) -> tuple[int, int]:
        [(first, last)] = fetch_all(self._compose(_BOUNDS_SQL).as_string())
        return first or 0, last or 0

    @cached_property
    def _inserted(self) -> list[Field[Any, Any]]:
        given = {name for (name,) in fetch_all(self._compose(_COLUMNS_SQL).as_string())}
        fields = self._audited_fields
        return [field for field in fields if field.column in given or self._defaults.is_in_trigger(field)]

    @cached_property
    def _defaults(self) -> ColumnDefaults:
        return ColumnDefaults(self.model)

    def _inserted_value(self, field: Field[Any, Any]) -> sql.Composable:
        image = sql.SQL("listed.changes -> {} -> {}").format(_literal(field.column), sql.Literal(self.side))
        default = sql.SQL("NULL") if field is self._pk else self._defaults.inserted_value(field)
        return sql.SQL("CASE WHEN listed.changes ? {} THEN {} ELSE {} END").format(
            _literal(field.column), _from_image(self.model, field, image), default
        )

    def _is_unchanged(self, derived: Collection[str]) -> sql.Composable:
        compared = [field for field in self._audited_fields if field.column not in derived]
        return sql.SQL(" AND ").join(
            [
                *(self._is_alike(field) for field in compared),
                *related_rows.are_in_no_way(self.model),
            ]
        )

    def _is_alike(self, field: Field[Any, Any]) -> sql.Composable:
        column, name = identifier("target", field.column), _literal(field.column)
        now = sql.SQL("to_jsonb({})" if is_json(field) else "coalesce(to_jsonb({}), 'null')").format(column)
        return sql.SQL(
            "(NOT listed.changes ? {0}"
            " OR ({1})::text IS NOT DISTINCT FROM (listed.changes -> {0} -> {2})::text)"
        ).format(name, now, sql.Literal(self.side))

    def _audit(self, changes: Iterable[ColumnChange]) -> sql.Composable:
        return sql.SQL(_AUDIT_SQL).format(
            **self._who,
            label=sql.Literal(self.model._meta.label_lower),
            pk=identifier(self._pk.column),
            changes=build_changes_json(changes),
        )

    @property
    def _who(self) -> dict[str, sql.Composable]:
        run = self.run or Run()
        return {
            "audit": identifier(AuditLog._meta.db_table),
            "run": sql.Literal(run.pk or 0),
            "action": _literal(run.operation),
            "by": _literal(run.performed_by),
        }

    def _execute(self, statement: str, after: int, **parts: sql.Composable) -> tuple[int | None, int]:
        first, last_entry = self._bounds
        batch = self._compose(_BATCH_SQL, limit=sql.Literal(BATCH_SIZE))
        composed = self._compose(statement, batch=batch, **parts)
        with connection.cursor() as cursor:
            cursor.execute(composed.as_string(connection.connection), [max(after, first - 1), last_entry])
            last, count = cursor.fetchone()
        return last, count

    def _compose(self, statement: str, **parts: sql.Composable) -> sql.Composable:
        meta = self.model._meta
        names = {
            "audit": self._who["audit"],
            "listed": self._listed,
            "done": sql.SQL(_DONE_SQL).format(audit=self._who["audit"], run=self._who["run"]),
            "table": identifier(meta.db_table),
            "pk": identifier(meta.pk.column),
            "key_type": sql.SQL(type_name(meta.pk)),
        }
        return sql.SQL(statement).format(**names, **parts)

    @property
    def _listed(self) -> sql.Composable:
        is_staged = self.key_list.source_model is StagedChange
        return sql.SQL(_LISTED_SQL).format(
            entries=identifier(self.key_list.source_model._meta.db_table),
            owner=sql.Identifier("change_set_id" if is_staged else "run_id"),
            number=sql.Literal(self.key_list.owner_id),
            side=sql.Literal([self._pk.column, self.side]),
        )


def _from_image(model: type[Model], field: Field[Any, Any], image: sql.Composable) -> sql.Composable:
    """The value of an image in the column's type."""
    if is_json(field):
        return image
    if isinstance(field, ArrayField):
        return sql.SQL("(jsonb_populate_record(NULL::{}, jsonb_build_object({}, {}))).{}").format(
            identifier(model._meta.db_table), _literal(field.column), image, identifier(field.column)
        )
    return sql.SQL("(({}) #>> '{{}}')::{}").format(image, sql.SQL(type_name(field)))


def _literal(text: Any) -> sql.Composable:
    """A literal for a statement whose parameters are ``%s``."""
    return sql.Literal(str(text).replace("%", "%%"))


def _join(parts: Iterable[sql.Composable]) -> sql.Composable:
    return sql.SQL(", ").join(parts)
