"""Insert the cells that a person edited as staged changes, in the images of the audit log."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Field, Model
from psycopg import sql

from ops.models import AuditLog, ChangeSet, StagedChange
from ops.sql.compile import identifier, is_json, type_name
from ops.sql.query import fetch_all


@dataclass(frozen=True)
class GivenCell:
    """``seen`` and ``wanted`` are JSON, None is SQL NULL. Without ``is_seen`` the stored value is taken."""

    key: str
    column: str
    seen: str | None
    wanted: str | None
    is_seen: bool = True


# Cells with the value that was seen are left out: texts are compared, Note [Equal JSON that is not alike].
_STAGE_SQL = """
WITH given AS (
    SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::boolean[])
        AS given (key, name, seen, wanted, is_seen)),
image (object_id, name, old, new) AS ({images})
INSERT INTO {staged} (change_set_id, object_id, changes)
SELECT %s, object_id, jsonb_object_agg(name,
    CASE WHEN old IS NULL THEN '{{}}' ELSE jsonb_build_object('old', old) END
    || CASE WHEN new IS NULL THEN '{{}}' ELSE jsonb_build_object('new', new) END)
FROM image WHERE old::text IS DISTINCT FROM new::text GROUP BY object_id
"""
_STAGE_REVERSED_SQL = """
INSERT INTO {staged} (change_set_id, object_id, changes)
SELECT %s, object_id, (
    SELECT jsonb_object_agg(key,
        CASE WHEN value ? 'new' THEN jsonb_build_object('old', value -> 'new') ELSE '{{}}' END
        || CASE WHEN value ? 'old' THEN jsonb_build_object('new', value -> 'old') ELSE '{{}}' END)
    FROM jsonb_each(changes) WHERE key = ANY(%s))
FROM {audit} WHERE id = %s
"""
_IMAGES_SQL = """
SELECT stored.{pk}::text COLLATE "default", given.name,
    CASE WHEN given.is_seen THEN {seen} ELSE {stored} END, {wanted}
FROM given JOIN {table} AS stored ON stored.{pk} = given.key::{key_type} WHERE given.name = {column}
"""


def insert_staged_cells(change_set: ChangeSet, model: type[Model], cells: Sequence[GivenCell]) -> int:
    """Stage the cells of existing rows, and return how many rows they are in. In canonical output.

    Raises DataError where the database does not read a value.
    """
    if not cells:
        return 0
    columns = sorted({cell.column for cell in cells})
    fields = {field.column: field for field in model._meta.local_concrete_fields}
    images = [_images_query(model, fields[column]) for column in columns]
    statement = sql.SQL(_STAGE_SQL).format(
        images=sql.SQL(" UNION ALL ").join(images), staged=identifier(StagedChange._meta.db_table)
    )
    names = ("key", "column", "seen", "wanted", "is_seen")
    arrays = [[getattr(cell, name) for cell in cells] for name in names]
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string(), [*arrays, change_set.pk])
        return int(cursor.rowcount)


def stage_reversed_cells(change_set: ChangeSet, audit: AuditLog, columns: list[str]) -> None:
    """Stage what sets the columns back that the audit row says were changed, with every digit."""
    statement = sql.SQL(_STAGE_REVERSED_SQL).format(
        staged=identifier(StagedChange._meta.db_table), audit=identifier(AuditLog._meta.db_table)
    )
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string(), [change_set.pk, columns, audit.pk])


def _images_query(model: type[Model], field: Field[Any, Any]) -> sql.Composable:
    stored = sql.SQL("stored.{}").format(identifier(field.column))
    return sql.SQL(_IMAGES_SQL).format(
        pk=identifier(model._meta.pk.column),
        key_type=sql.SQL(type_name(model._meta.pk)),
        table=identifier(model._meta.db_table),
        column=sql.Literal(str(field.column).replace("%", "%%")),
        seen=_image(model, field, sql.SQL("given.seen::jsonb")),
        wanted=_image(model, field, sql.SQL("given.wanted::jsonb")),
        stored=_scalar_image(field, stored),
    )


def _image(model: type[Model], field: Field[Any, Any], document: sql.Composable) -> sql.Composable:
    """The JSON as the column would store it: 1.1 is 1.10 in one of two decimal places."""
    if is_json(field):
        return document
    value = sql.SQL("(jsonb_populate_record(NULL::{}, jsonb_build_object({}, {}))).{}").format(
        identifier(model._meta.db_table),
        sql.Literal(str(field.column).replace("%", "%%")),
        document,
        identifier(field.column),
    )
    return _scalar_image(field, value)


def _scalar_image(field: Field[Any, Any], value: sql.Composable) -> sql.Composable:
    """The image of the value: SQL NULL is ``null``, except in a JSON column."""
    if is_json(field):
        return sql.SQL("{}::jsonb").format(value)
    return sql.SQL("coalesce(to_jsonb({}), 'null')").format(value)


def list_existing_keys(model: type[Model], keys: Collection[str]) -> set[str]:
    """Return those of the keys, as the database writes them, that are keys of rows."""
    pk = model._meta.pk
    statement = sql.SQL("SELECT {pk}::text FROM {table} WHERE {pk} = ANY(%s::{type}[])").format(
        pk=identifier(pk.column), table=identifier(model._meta.db_table), type=sql.SQL(type_name(pk))
    )
    return {key for (key,) in fetch_all(statement.as_string(), list(keys))}
