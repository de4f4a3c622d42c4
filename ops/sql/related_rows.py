"""The rows that refer to rows which a run deletes: they go with them, or stand in the way.

Rows that the machine made for a row, such as the asset of a thumbnail, go with it: nobody has an audit row
for them. A row that somebody made stands in the way, and so does one that does not cascade.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import CASCADE, Model
from psycopg import sql

from ops.models import AuditLog
from ops.sql.changes import ColumnChange, build_changes_json
from ops.sql.compile import auto_now_fields, identifier

# Of each row in the CTE ``gone``.
_DELETE_SQL = """
{name} AS (DELETE FROM {table} AS related USING gone WHERE related.{column} = gone.{pk} RETURNING related.*),
{audited} AS (
    INSERT INTO {audit} (action, object_type, object_id, performed_by, changes, metadata)
    SELECT {action}, {label}, {related_pk}::text, {by}, {changes}, jsonb_build_object('run', {run})
    FROM {name}),
"""
_NOT_REFERENCED_SQL = (
    "NOT EXISTS (SELECT FROM {table} AS related WHERE related.{column} = target.{pk} {made})"
)
_IS_AUDITED_SQL = """
AND EXISTS (SELECT FROM {audit} AS log WHERE log.object_id = related.{pk}::text AND log.object_type = {label})
"""


def are_in_no_way(model: type[Model]) -> list[sql.Composable]:
    """Return the conditions that no related row stands in the way of the row ``target``."""
    return [_is_not_referenced(model, relation) for relation in _list_relations(model)]


def delete_clauses(model: type[Model], who: Mapping[str, sql.Composable]) -> sql.Composable:
    """Return the CTEs that delete, with audit rows, what goes with the rows of the CTE ``gone``.

    ``who`` has the table ``audit``, the ``run``, its ``action``, and ``by`` whom, as SQL.
    """
    owned = filter(_is_owned, _list_relations(model))
    return sql.SQL("").join(_delete_clause(model, relation, who) for relation in owned)


def _list_relations(model: type[Model]) -> list[Any]:
    related: Any = model._meta.related_objects
    return [each for each in related if each.field.concrete and each.field.db_constraint]


def _is_owned(relation: Any) -> bool:
    """Whether its rows go with the row: they cascade, and nothing refers to them."""
    return relation.on_delete is CASCADE and not relation.related_model._meta.related_objects


def _is_not_referenced(model: type[Model], relation: Any) -> sql.Composable:
    meta = relation.related_model._meta
    made: sql.Composable = sql.SQL("")
    if _is_owned(relation):
        made = sql.SQL(_IS_AUDITED_SQL).format(
            audit=identifier(AuditLog._meta.db_table),
            pk=identifier(meta.pk.column),
            label=sql.Literal(meta.label_lower),
        )
    return sql.SQL(_NOT_REFERENCED_SQL).format(
        table=identifier(meta.db_table),
        column=identifier(relation.field.column),
        pk=identifier(model._meta.pk.column),
        made=made,
    )


def _delete_clause(model: type[Model], relation: Any, who: Mapping[str, sql.Composable]) -> sql.Composable:
    meta = relation.related_model._meta
    changes = build_changes_json(
        ColumnChange(field, identifier(field.column), sql.SQL("NULL::text"))
        for field in meta.local_concrete_fields
        if field not in [meta.pk, *auto_now_fields(relation.related_model)]
    )
    return sql.SQL(_DELETE_SQL).format(
        **who,
        name=sql.Identifier(f"related_{meta.model_name}"),
        audited=sql.Identifier(f"audited_{meta.model_name}"),
        table=identifier(meta.db_table),
        column=identifier(relation.field.column),
        pk=identifier(model._meta.pk.column),
        related_pk=identifier(meta.pk.column),
        label=sql.Literal(meta.label_lower),
        changes=changes,
    )
