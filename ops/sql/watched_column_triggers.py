"""The triggers of a watched column, which are among those of a dual write too.

# Note [Who writes the old column]
A statement that names the old column is by code that still uses it, also if it changes nothing: who that was
is recorded, by its application_name. An INSERT that leaves the column out must not count, so the default of
the column is the triggers' as long as it is watched: what the table fills in looks like a value. NULL is a
value in a column that may be NULL: there the default stays in the table, and a row that has it counts as one
that leaves the column out. An INSERT that sets the column to DEFAULT, or to NULL, cannot be told from it.
"""

from __future__ import annotations

from django.db import connection
from psycopg import sql

from ops.sql.watched_column import WatchedColumn

FUNCTION = """CREATE OR REPLACE FUNCTION {{{name}}}() RETURNS trigger LANGUAGE plpgsql
{{search_path}}AS $dual_write${body}$dual_write$"""
# A body is a text, in which names are looked up at each call: as in the session of the migration, and not as
# in that of the player.
AS_HERE = "SET search_path FROM CURRENT "
RECORDERS = (
    "CREATE TRIGGER {by_insert} BEFORE INSERT ON {table} FOR EACH ROW WHEN ({names_old} AND {is_due})"
    " EXECUTE FUNCTION {recorder}({change})",
    "CREATE TRIGGER {by_update} BEFORE UPDATE OF {old} ON {table} FOR EACH STATEMENT WHEN ({is_due})"
    " EXECUTE FUNCTION {recorder}({change})",
)
# The column is NULL here also after UPDATE ... SET old = DEFAULT, or a foreign key's ON DELETE SET DEFAULT.
FILL = (
    FUNCTION.format(name="fill", body="\nBEGIN\n    {row_old} := {default};\n    RETURN NEW;\nEND"),
    "CREATE TRIGGER {fill} BEFORE INSERT OR UPDATE OF {old} ON {table} FOR EACH ROW WHEN ({row_old} IS NULL)"
    " EXECUTE FUNCTION {fill}()",
)
_RECORDER = "ops_record_column_writer"
# Whether this session has not yet called the recorder by this name in this second: ops/migrations/0016
# writes the setting, and looks at the minute. CURRENT_TIME(0) is one node: see Note [What a trigger costs].
_IS_DUE = (
    "current_setting({seen_setting}, true) IS DISTINCT FROM"
    " CURRENT_TIME(0)::text || current_setting('application_name')"
)


def drop_statements(column: WatchedColumn) -> list[str]:
    """Return the statements that drop the triggers and then their functions."""
    return [
        sql.SQL(template).format(**template_parts(column)).as_string()
        for part in column.trigger_parts
        for template in (
            f"DROP TRIGGER IF EXISTS {{{part}}} ON {{table}}",
            f"DROP FUNCTION IF EXISTS {{{part}}}()",
        )
    ]


def template_parts(column: WatchedColumn, schema: str = "") -> dict[str, sql.Composable]:
    """Return what the templates name; ``schema`` is that of ops' own tables."""
    row_old, default = row_value("NEW", column.old), sql.SQL(column.default or "NULL")
    names_old = "{old} IS NOT NULL AND {old} IS DISTINCT FROM {default}"
    if not column.has_default_in_table:
        names_old = "{old} IS NOT NULL"
    return {
        "table": sql.SQL(connection.ops.quote_name(column.table)),
        "old": sql.Identifier(column.old),
        "row_old": row_old,
        "default": default,
        "names_old": sql.SQL(names_old).format(old=row_old, default=default),
        "is_due": sql.SQL(_IS_DUE).format(seen_setting=sql.Literal(f"ops.writer_{column.change}")),
        "change": sql.Literal(column.change),
        "search_path": sql.SQL(AS_HERE),
        "recorder": sql.Identifier(schema, _RECORDER),
        **{part: sql.Identifier(column.trigger_prefix + part) for part in column.trigger_parts},
    }


def row_value(row: str, name: str) -> sql.Composable:
    """Return the SQL of a column of the row NEW or OLD of a trigger."""
    return sql.SQL(row + ".{}").format(sql.Identifier(name))
