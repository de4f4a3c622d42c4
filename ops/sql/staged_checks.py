"""Find the CHECK constraints that the rows of a change set would violate."""

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
from ops.sql.violations import CHECK_CONSTRAINTS_SQL

_VIOLATIONS_SQL = """
SELECT merged.object_id, verdict.name FROM (
    SELECT staged.object_id, staged.changes, {columns} FROM {staged} AS staged
    JOIN {table} AS stored ON stored.{pk} = staged.object_id::{key_type}
    WHERE staged.change_set_id = %s AND NOT staged.is_new) AS merged
CROSS JOIN LATERAL (VALUES {verdicts}) AS verdict (name, is_violated)
WHERE verdict.is_violated ORDER BY merged.object_id, verdict.name
"""


@dataclass(frozen=True)
class CheckViolation:
    """``columns`` are those that the constraint reads."""

    object_id: str
    constraint: str
    columns: list[str]


def find_check_violations(
    change_set: ChangeSet, model: type[Model], fields: Iterable[Field[Any, Any]]
) -> list[CheckViolation]:
    """Return the constraints that staged cells of the fields violate, with the other columns as stored."""
    staged = {str(field.column) for field in fields}
    table = connection.ops.quote_name(model._meta.db_table)
    checks = {
        name: (expression, columns)
        for name, expression, _, columns in fetch_all(CHECK_CONSTRAINTS_SQL, table)
        if staged & set(columns)
    }
    if not checks:
        return []
    statement = _compose(model, staged, checks)
    found = fetch_all(statement.as_string(), change_set.pk)
    return [CheckViolation(key, name, checks[name][1]) for key, name in found]


def _compose(
    model: type[Model], staged: set[str], checks: dict[str, tuple[str, list[str]]]
) -> sql.Composable:
    needed = {column for _, columns in checks.values() for column in columns}
    fields = {str(field.column): field for field in model._meta.local_concrete_fields}
    columns = [_merged_column(model, name, fields.get(name), name in staged) for name in sorted(needed)]
    verdicts = [
        sql.SQL("({}, merged.changes ?| {}::text[] AND ({}) IS FALSE)").format(
            _escaped(name), sql.Literal(columns), sql.SQL(expression.replace("%", "%%"))
        )
        for name, (expression, columns) in checks.items()
    ]
    return sql.SQL(_VIOLATIONS_SQL).format(
        columns=sql.SQL(", ").join(columns),
        staged=identifier(StagedChange._meta.db_table),
        table=identifier(model._meta.db_table),
        pk=identifier(model._meta.pk.column),
        key_type=sql.SQL(type_name(model._meta.pk)),
        verdicts=sql.SQL(", ").join(verdicts),
    )


def _merged_column(
    model: type[Model], name: str, field: Field[Any, Any] | None, is_staged: bool
) -> sql.Composable:
    """The column as it would be: the staged value, or else the stored one."""
    column, key = identifier(name), _escaped(name)
    if field is None or not is_staged:
        return sql.SQL("stored.{}").format(column)
    new = sql.SQL("staged.changes -> {} -> 'new'").format(key)
    if not is_json(field):
        new = sql.SQL("(jsonb_populate_record(NULL::{}, jsonb_build_object({}, {}))).{}").format(
            identifier(model._meta.db_table), key, new, column
        )
    return sql.SQL("CASE WHEN staged.changes ? {} THEN {} ELSE stored.{} END AS {}").format(
        key, new, column, column
    )


def _escaped(text: str) -> sql.Composable:
    """A literal for a statement whose parameters are ``%s``."""
    return sql.Literal(text.replace("%", "%%"))
