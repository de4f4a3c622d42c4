"""Find the constraints that the rows of a change set would violate: CHECK, unique and foreign keys."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Field, Model
from psycopg import sql

from ops.models import ChangeSet, StagedChange
from ops.sql.compile import identifier, is_json, type_name
from ops.sql.query import fetch_all
from ops.sql.violations import CHECK_CONSTRAINTS_SQL, UNIQUE_INDEXES_SQL

# The rows as they would be: the staged cells, and the other columns as stored.
_VIOLATIONS_SQL = """
WITH staged AS MATERIALIZED (SELECT * FROM {staged} WHERE change_set_id = %s AND NOT is_new),
merged AS MATERIALIZED (
    SELECT staged.object_id AS _key, staged.changes AS _changes{columns} FROM staged
    JOIN {table} AS stored ON stored.{pk} = staged.object_id::{key_type})
{violations} ORDER BY 1, 2
"""
_CHECK_SQL = "SELECT _key, {rule} FROM merged WHERE _changes ?| {columns} AND ({expression}) IS FALSE"
_UNIQUE_SQL = """
SELECT _key, {rule} FROM (SELECT *, count(*) OVER (PARTITION BY {names}) AS _count FROM merged) AS merged
WHERE _changes ?| {columns} AND ({names}) IS NOT NULL AND (_count > 1 OR EXISTS (
    SELECT FROM {table} AS other WHERE ({others}) = ({names}) AND NOT EXISTS (
        SELECT FROM staged WHERE staged.object_id = other.{pk}::text AND staged.changes ?| {columns})))
"""
_REFERENCE_SQL = """
SELECT _key, {rule} FROM merged WHERE _changes ?| {columns} AND {name} IS NOT NULL
AND NOT EXISTS (SELECT FROM {target} AS target WHERE target.{target_column} = {name})
"""


@dataclass(frozen=True)
class StagedViolation:
    """``constraint`` is the name of a CHECK constraint, or ``unique`` or ``reference``.

    ``columns`` are those that it reads.
    """

    object_id: str
    constraint: str
    columns: list[str]


def find_staged_violations(
    change_set: ChangeSet, model: type[Model], fields: Iterable[Field[Any, Any]]
) -> list[StagedViolation]:
    """Return what staged cells of the fields violate, with the other columns as stored."""
    staged = {str(field.column): field for field in fields}
    rules = [rule for rule in _list_rules(model, staged) if set(rule[1]) & set(staged)]
    if not rules:
        return []
    queries = [_compose_rule(model, rule, number) for number, rule in enumerate(rules)]
    columns = [
        sql.SQL(", {}").format(_merged_column(model, name, staged.get(name)))
        for name in sorted({name for _, columns, _ in rules for name in columns})
    ]
    statement = sql.SQL(_VIOLATIONS_SQL).format(
        columns=sql.SQL("").join(columns),
        staged=identifier(StagedChange._meta.db_table),
        table=identifier(model._meta.db_table),
        pk=identifier(model._meta.pk.column),
        key_type=sql.SQL(type_name(model._meta.pk)),
        violations=sql.SQL(" UNION ALL ").join(queries),
    )
    found = fetch_all(statement.as_string(), change_set.pk)
    return [StagedViolation(key, rules[number][0], rules[number][1]) for key, number in found]


# Its name, the columns that it reads, and the expression of a CHECK or the field of a reference.
_Rule = tuple[str, list[str], Any]


def _list_rules(model: type[Model], staged: dict[str, Field[Any, Any]]) -> list[_Rule]:
    table = connection.ops.quote_name(model._meta.db_table)
    checks = [
        (name, columns, expression)
        for name, expression, _, columns in fetch_all(CHECK_CONSTRAINTS_SQL, table)
    ]
    unique = [("unique", columns, None) for (columns,) in fetch_all(UNIQUE_INDEXES_SQL, table)]
    references = [("reference", [name], field) for name, field in staged.items() if field.is_relation]
    return [*checks, *unique, *references]


def _compose_rule(model: type[Model], rule: _Rule, number: int) -> sql.Composable:
    name, columns, detail = rule
    parts = {
        "rule": sql.Literal(number),
        "columns": sql.SQL("{}::text[]").format(sql.Literal([each.replace("%", "%%") for each in columns])),
    }
    if name == "unique":
        return sql.SQL(_UNIQUE_SQL).format(
            **parts,
            names=sql.SQL(", ").join(identifier("merged", each) for each in columns),
            others=sql.SQL(", ").join(identifier("other", each) for each in columns),
            table=identifier(model._meta.db_table),
            pk=identifier(model._meta.pk.column),
        )
    if name == "reference":
        return sql.SQL(_REFERENCE_SQL).format(
            **parts,
            name=identifier("merged", columns[0]),
            target=identifier(detail.related_model._meta.db_table),
            target_column=identifier(detail.target_field.column),
        )
    return sql.SQL(_CHECK_SQL).format(**parts, expression=sql.SQL(detail.replace("%", "%%")))


def _merged_column(model: type[Model], name: str, field: Field[Any, Any] | None) -> sql.Composable:
    """The column as it would be: the staged value, or else the stored one."""
    column, key = identifier(name), sql.Literal(name.replace("%", "%%"))
    if field is None:
        return sql.SQL("stored.{}").format(column)
    new = sql.SQL("staged.changes -> {} -> 'new'").format(key)
    if not is_json(field):
        new = sql.SQL("(jsonb_populate_record(NULL::{}, jsonb_build_object({}, {}))).{}").format(
            identifier(model._meta.db_table), key, new, column
        )
    return sql.SQL("CASE WHEN staged.changes ? {} THEN {} ELSE stored.{} END AS {}").format(
        key, new, column, column
    )
