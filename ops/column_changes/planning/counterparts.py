"""Which constraints and indexes of the old column have no counterpart of the new one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib.postgres.constraints import ExclusionConstraint
from django.db import connection
from django.db.models import CheckConstraint, ForeignKey, UniqueConstraint

from ops.column_changes.planning.model_changes import fields_of
from ops.column_changes.planning.table import ChangedTable, WatchedTable

# The columns that a constraint or an index names, also in its expressions and its predicate; by its kind.
_OBJECTS_SQL = """
WITH named AS (
    SELECT classid, objid, array_agg(DISTINCT attname::text) AS columns
    FROM pg_depend JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
    WHERE refclassid = 'pg_class'::regclass AND refobjid = %s
        AND classid IN ('pg_constraint'::regclass, 'pg_class'::regclass)
    GROUP BY classid, objid)
SELECT contype::text, columns, 'constraint ' || conname || ': ' || pg_get_constraintdef(c.oid, true)
FROM named JOIN pg_constraint c ON classid = 'pg_constraint'::regclass AND c.oid = objid
WHERE contype IN ('c', 'f', 'u', 'x') AND %s = ANY(columns) AND conrelid = %s
UNION ALL SELECT CASE WHEN indisunique THEN 'u' ELSE 'i' END, columns, 'index ' || pg_get_indexdef(indexrelid)
FROM named JOIN pg_index ON classid = 'pg_class'::regclass AND indexrelid = objid
WHERE %s = ANY(columns)
ORDER BY 3
"""
_Object = tuple[str, frozenset[str]]  # its kind as in pg_constraint, or "i" for an index; its other columns


def list_missing(table: ChangedTable) -> Iterator[str]:
    """Yield a note for each constraint and index of the old column that the new one has no like of."""
    wanted = set(_list_declared(table))
    for kind, columns, definition in _list_objects(table):
        if kind == "f" and table.change.is_key():
            continue  # refers to the key
        others = frozenset(columns) - {table.old, table.new}
        if not any((other, others) in wanted for other in ("iu" if kind == "i" else kind)):
            yield (
                f"{table.new} has no counterpart of the {definition}. If it needs one, add it to the model"
                " before you write the migrations."
            )


def list_lost(table: WatchedTable) -> Iterator[str]:
    """Yield a note for each constraint and index that goes with the column."""
    for _, columns, definition in _list_objects(table):
        is_alone = {*columns} == {table.old}
        without = "" if is_alone else " If one without it is needed, add it to the model."
        yield f"The {definition} stays until the step drop, and is dropped with {table.old}.{without}"


def _list_objects(table: WatchedTable) -> list[tuple[Any, ...]]:
    return table.query(_OBJECTS_SQL, table.old, table.oid, table.old)


def _list_declared(table: ChangedTable) -> Iterator[_Object]:
    """Yield the constraints and indexes that the model declares for the new field."""
    meta, field = table.change.model._meta, table.change().new_field()
    alone: frozenset[str] = frozenset()
    if field.unique:
        yield "u", alone
    if getattr(field, "db_index", False):
        yield "i", alone
    if field.db_check(connection):
        yield "c", alone
    if isinstance(field, ForeignKey) and getattr(field, "db_constraint", True):
        yield "f", alone
    columns = {each.name: str(each.column) for each in meta.local_concrete_fields}
    named = [
        *((_kind(each), fields_of(each, columns)) for each in (*meta.constraints, *meta.indexes)),
        *(("u", set(names)) for names in meta.unique_together),
    ]
    for kind, names in named:
        if field.name in names:
            yield kind, frozenset(columns[name] for name in names) - {table.old, table.new}


def _kind(value: object) -> str:
    kinds = {CheckConstraint: "c", UniqueConstraint: "u", ExclusionConstraint: "x"}
    return next((kind for base, kind in kinds.items() if isinstance(value, base)), "i")
