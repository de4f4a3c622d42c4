"""The triggers of dual writes.

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

from django.db import connection
from psycopg import sql

from ops.sql.dual_write import OFF_SETTING, DualWrite

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
        "off_setting": sql.Literal(OFF_SETTING),
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
