"""Dual writes: triggers that keep two columns of a table equal while both are in use.

# Note [Which column a write came by]
An UPDATE that changes one of the two columns sets the other. One that changes both, or sets the new one to
NULL, is stored as written, so that a backfill can be reverted. An INSERT fills the column that it leaves out;
the default of the old column is the trigger's, since a default of the table looks like a value. Nothing is
set in a row whose columns agree already: the new value is that of the old one, or the old value is that of
the new one. Without that, a conversion that is not one to one would rewrite the value that was written.

A statement that names the old column is by code that still uses it, also if it changes nothing: who that was
is recorded, by its application_name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

from django.db import connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DecimalField, Expression, Field, Model
from django.db.models.expressions import Col
from django.db.models.functions import Cast
from django.db.models.sql import Query
from psycopg import ClientCursor, sql

from ops.sql.compile import cast_to_column_type

_OFF_SETTING = "ops.dual_write"
_OLD, _NEW = "\x00old\x00", "\x00new\x00"


@dataclass(frozen=True)
class DualWrite:
    """The dual write between two columns of a table, as a migration stores it.

    ``to_new`` and ``to_old`` are SQL over the row, with ``{old}`` and ``{new}`` for the two columns;
    ``to_old`` is None where there is no way back. ``sources`` are the columns, other than the old one, that
    ``to_new`` reads. ``default`` is the SQL of the old column's default. ``keeps``: a new value that has no
    old one leaves the old column as it is; else it is refused.
    """

    change: str
    table: str
    old: str
    new: str
    to_new: str
    to_old: str | None = None
    sources: tuple[str, ...] = ()
    default: str | None = None
    keeps: bool = False

    def deconstruct(self) -> tuple[str, tuple[()], dict[str, Any]]:
        """Return how a migration writes it. (Django's decorator cannot set its attribute on a frozen class.)"""
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return (
            path,
            (),
            {field.name: values[field.name] for field in fields(self) if values[field.name] != field.default},
        )


def comparable_value(value: Any, field: Field[Any, Any]) -> Expression:
    """Cast a value or an expression to the column's type, rounded where an assignment would round it.

    A cast to ``varchar(32)`` would truncate, where the assignment raises: it is compared without the length.
    """
    if isinstance(field, DecimalField) and hasattr(value, "resolve_expression"):
        return Cast(value, field)
    return cast_to_column_type(value, field)


def compile_dual_write(
    change: str,
    model: type[Model],
    old: Field[Any, Any],
    new: Field[Any, Any],
    to_new: Expression,
    to_old: Expression | None,
    **options: Any,
) -> DualWrite:
    """Compile the two expressions, over fields of the model, to the SQL of a dual write.

    Raises FieldError for a join, and ValueError for what is no expression over one row.
    """
    text, columns = _compile_over_row(model, to_new, old, new)
    return DualWrite(
        change,
        model._meta.db_table,
        str(old.column),
        str(new.column),
        text,
        None if to_old is None else _compile_over_row(model, to_old, old, new)[0],
        sources=tuple(sorted(columns - {old.column, new.column})),
        **options,
    )


def _compile_over_row(
    model: type[Model], expression: Expression, old: Field[Any, Any], new: Field[Any, Any]
) -> tuple[str, set[str]]:
    """Compile an expression over a trigger's row NEW; return its SQL and the columns that it reads."""
    query = Query(model)
    alias = query.get_initial_alias()
    resolved = expression.resolve_expression(query, allow_joins=False)
    if resolved.contains_aggregate or resolved.contains_over_clause or _has_subquery(resolved):
        raise ValueError("it is no expression over one row: aggregates, windows and subqueries are refused")
    columns = {str(node.target.column) for node in _flatten(resolved) if isinstance(node, Col)}
    text, params = query.get_compiler(connection=connection).compile(resolved.relabeled_clone({alias: "new"}))
    for field, token in ((old, _OLD), (new, _NEW)):
        text = text.replace(f'"new".{connection.ops.quote_name(str(field.column))}', token)
    with connection.cursor():  # connects
        text = ClientCursor(connection.connection).mogrify(text, params)
    text = text.replace("{", "{{").replace("}", "}}")
    return text.replace(_OLD, "{old}").replace(_NEW, "{new}"), columns


def _flatten(expression: Any) -> Iterator[Any]:
    yield expression
    for source in expression.get_source_expressions():
        if source is not None:
            yield from _flatten(source)


def _has_subquery(expression: Any) -> bool:
    return any(hasattr(node, "query") or getattr(node, "subquery", False) for node in _flatten(expression))


def create_statements(dual_write: DualWrite, schema: str) -> list[str]:
    """Return the statements that create the functions and triggers; ``schema`` is that of ops' own tables."""
    return [_render(dual_write, schema, template) for template in (*_FUNCTIONS, *_TRIGGERS)]


def drop_statements(dual_write: DualWrite) -> list[str]:
    """Return the statements that drop the triggers and then their functions."""
    return [
        _render(dual_write, "", template)
        for part in ("insert", "update", "writer")
        for template in (
            f"DROP TRIGGER IF EXISTS {{{part}}} ON {{table}}",
            f"DROP FUNCTION IF EXISTS {{{part}}}()",
        )
    ]


@contextmanager
def dual_writes_off(alias: str = "default") -> Iterator[None]:
    """Write both columns as given, in one transaction: for rows that are loaded as they were."""
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        cursor.execute("SELECT current_setting(%s, true), set_config(%s, 'off', true)", [_OFF_SETTING] * 2)
        [before, _] = cursor.fetchone()
        yield
        cursor.execute("SELECT set_config(%s, %s, true)", [_OFF_SETTING, before or ""])


def read_default(using: BaseDatabaseWrapper, table: str, column: str) -> str | None:
    """Return the SQL of the column's default, or None."""
    with using.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef JOIN pg_attribute"
            " ON attrelid = adrelid AND attnum = adnum WHERE adrelid = to_regclass(%s) AND attname = %s",
            [using.ops.quote_name(table), column],
        )
        row = cursor.fetchone()
    return row[0] if row else None


_IS_OFF = "current_setting({off_setting}, true) = 'off'"
_RECORD = """
    seen := floor(extract(epoch FROM now()) / 60)::text || ' ' || current_setting('application_name');
    IF current_setting({seen_setting}, true) IS DISTINCT FROM seen THEN
        PERFORM set_config({seen_setting}, seen, false);
        PERFORM {recorder}({change});
    END IF;
"""
_FUNCTIONS = (
    f"""CREATE OR REPLACE FUNCTION {{insert}}() RETURNS trigger LANGUAGE plpgsql AS $dual_write$
DECLARE
    seen text;
BEGIN
    IF {_IS_OFF} THEN
        RETURN NEW;
    END IF;
    IF {{row_old}} IS NOT NULL THEN
        {_RECORD}
    ELSIF {{row_new}} IS NULL THEN
        {{row_old}} := {{default}};
    ELSIF ({{to_old}}) IS NULL THEN
        {{unmappable}}
        {{row_old}} := {{default}};
    ELSE
        {{row_old}} := {{to_old}};
    END IF;
    IF {{row_new}} IS NULL THEN
        {{row_new}} := {{to_new}};
    END IF;
    RETURN NEW;
END $dual_write$""",
    f"""CREATE OR REPLACE FUNCTION {{update}}() RETURNS trigger LANGUAGE plpgsql AS $dual_write$
BEGIN
    IF {_IS_OFF} THEN
        RETURN NEW;
    END IF;
    IF {{row_new}} IS NOT DISTINCT FROM {{before_new}} THEN
        {{row_new}} := {{to_new}};
    ELSIF ({{to_old}}) IS NULL THEN
        {{unmappable}}
    ELSE
        {{row_old}} := {{to_old}};
    END IF;
    RETURN NEW;
END $dual_write$""",
    f"""CREATE OR REPLACE FUNCTION {{writer}}() RETURNS trigger LANGUAGE plpgsql AS $dual_write$
DECLARE
    seen text;
BEGIN
    {_RECORD}
    RETURN NULL;
END $dual_write$""",
)
_TRIGGERS = (
    "CREATE TRIGGER {insert} BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {insert}()",
    "CREATE TRIGGER {update} BEFORE UPDATE OF {columns} ON {table} FOR EACH ROW WHEN ({condition})"
    " EXECUTE FUNCTION {update}()",
    "CREATE TRIGGER {writer} BEFORE UPDATE OF {old} ON {table} FOR EACH STATEMENT"
    " EXECUTE FUNCTION {writer}()",
)
_RECORDER = "ops_record_column_writer"


def _render(dual_write: DualWrite, schema: str, template: str) -> str:
    """Fill in a template; its expressions are over the rows NEW and OLD."""
    names = {"old": dual_write.old, "new": dual_write.new}
    new_row = {name: sql.SQL("NEW.{}").format(sql.Identifier(column)) for name, column in names.items()}
    old_row = {name: sql.SQL("OLD.{}").format(sql.Identifier(column)) for name, column in names.items()}
    to_new = sql.SQL(dual_write.to_new).format(**new_row)
    to_old = sql.SQL(dual_write.to_old or "NULL").format(**new_row)
    parts: dict[str, sql.Composable] = {
        "table": sql.SQL(connection.ops.quote_name(dual_write.table)),
        "old": sql.Identifier(dual_write.old),
        "columns": sql.SQL(", ").join(
            map(sql.Identifier, (dual_write.old, *dual_write.sources, dual_write.new))
        ),
        "row_old": new_row["old"],
        "row_new": new_row["new"],
        "before_new": old_row["new"],
        "to_new": to_new,
        "to_old": to_old,
        "default": sql.SQL(dual_write.default or "NULL"),
        "condition": _update_condition(dual_write, new_row, old_row, to_new, to_old),
        "unmappable": sql.SQL("NULL;") if dual_write.keeps else _raise_unmappable(dual_write),
        "off_setting": sql.Literal(_OFF_SETTING),
        "seen_setting": sql.Literal(f"ops.writer_{dual_write.change}"),
        "change": sql.Literal(dual_write.change),
        "recorder": sql.Identifier(schema, _RECORDER),
        **{
            part: sql.Identifier(f"dual_write_{dual_write.change}_{part}")
            for part in ("insert", "update", "writer")
        },
    }
    return sql.SQL(template).format(**parts).as_string()


def _update_condition(
    dual_write: DualWrite,
    new_row: dict[str, sql.Composed],
    old_row: dict[str, sql.Composed],
    to_new: sql.Composable,
    to_old: sql.Composable,
) -> sql.Composable:
    """Return the rows of an UPDATE whose columns differ, where one side alone has changed."""
    sources = [
        sql.SQL("NEW.{0} IS DISTINCT FROM OLD.{0}").format(sql.Identifier(c)) for c in dual_write.sources
    ]
    old_changed = sql.SQL(" OR ").join(
        [sql.SQL("{} IS DISTINCT FROM {}").format(new_row["old"], old_row["old"]), *sources]
    )
    return sql.SQL(
        "{new} IS DISTINCT FROM {to_new} AND (CASE WHEN {old_changed}"
        " THEN {new} IS NOT DISTINCT FROM {before_new}"
        " ELSE {new} IS NOT NULL AND {new} IS DISTINCT FROM {before_new}"
        " AND {old} IS DISTINCT FROM {to_old} END)"
    ).format(
        new=new_row["new"],
        old=new_row["old"],
        before_new=old_row["new"],
        to_new=to_new,
        to_old=to_old,
        old_changed=old_changed,
    )


def _raise_unmappable(dual_write: DualWrite) -> sql.Composable:
    message = f"{dual_write.change}: %.% has no value for %"
    return sql.SQL(
        "RAISE EXCEPTION {message}, {table}, {new}, {old} USING ERRCODE = 'check_violation',"
        " TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA, COLUMN = {new};"
    ).format(
        message=sql.Literal(message),
        table=sql.SQL("TG_TABLE_NAME"),
        new=sql.Literal(dual_write.new),
        old=sql.Literal(dual_write.old),
    )
