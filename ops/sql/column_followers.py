"""What else in the database depends on a column: what can be made anew for another one, and what cannot.

# Note [What follows a column]
PostgreSQL stores the columns of views, publications, statistics and policies by number, so that they follow a
column that is renamed. Where another column takes its name, what was written for that name has to go with the
name: publications and statistics are dropped before and created again after. A view cannot change the type of
its columns, and may have grants, an owner and views over it, so it is refused, as are the others.
"""

from __future__ import annotations

from typing import Any

from psycopg import sql

from ops.sql.watched_column import WatchedColumn

_DEPENDENTS_SQL = """
SELECT DISTINCT CASE
    WHEN classid = 'pg_rewrite'::regclass THEN (SELECT CASE relkind WHEN 'm' THEN 'materialized view '
        WHEN 'v' THEN 'view ' ELSE 'a rule of ' END || pg_class.oid::regclass::text
        FROM pg_rewrite JOIN pg_class ON pg_class.oid = ev_class WHERE pg_rewrite.oid = objid)
    WHEN classid = 'pg_attrdef'::regclass THEN 'generated column ' || (SELECT attname FROM pg_attrdef
        JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum WHERE pg_attrdef.oid = objid)
    ELSE pg_describe_object(classid, objid, objsubid) END
FROM pg_depend JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
WHERE refclassid = 'pg_class'::regclass AND refobjid = to_regclass(%(table)s) AND attname = %(column)s
    AND CASE classid
        WHEN 'pg_rewrite'::regclass THEN true
        WHEN 'pg_policy'::regclass THEN true
        WHEN 'pg_proc'::regclass THEN true
        WHEN 'pg_trigger'::regclass THEN objid NOT IN (SELECT oid FROM pg_trigger
            WHERE tgrelid = refobjid AND (tgisinternal OR starts_with(tgname, %(own)s)))
        WHEN 'pg_attrdef'::regclass THEN objid IN (SELECT oid FROM pg_attrdef
            WHERE (adrelid, adnum) <> (refobjid, refobjsubid))
        WHEN 'pg_constraint'::regclass THEN deptype = 'n' AND NOT %(is_key)s AND objid IN (
            SELECT oid FROM pg_constraint WHERE contype = 'f' AND confrelid = refobjid)
        ELSE false END
ORDER BY 1
"""
_PUBLICATIONS_SQL = """
SELECT pubname, pg_get_expr(prqual, prrelid), ARRAY(SELECT attname::text FROM pg_attribute
    WHERE attrelid = prrelid AND attnum = ANY(prattrs) ORDER BY attnum)
FROM pg_publication_rel JOIN pg_publication ON pg_publication.oid = prpubid
WHERE prrelid = to_regclass(%(table)s) AND EXISTS (
    SELECT FROM pg_attribute LEFT JOIN pg_depend ON classid = 'pg_publication_rel'::regclass
        AND objid = pg_publication_rel.oid AND refobjid = attrelid AND refobjsubid = attnum
    WHERE attrelid = prrelid AND attname = %(column)s AND (attnum = ANY(prattrs) OR classid IS NOT NULL))
ORDER BY 1
"""
_STATISTICS_SQL = """
SELECT DISTINCT pg_statistic_ext.oid, quote_ident(nspname) || '.' || quote_ident(stxname),
    pg_get_statisticsobjdef(pg_statistic_ext.oid)
FROM pg_statistic_ext JOIN pg_namespace ON pg_namespace.oid = stxnamespace
    JOIN pg_depend ON classid = 'pg_statistic_ext'::regclass AND objid = pg_statistic_ext.oid
    JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
WHERE stxrelid = to_regclass(%(table)s) AND refobjid = stxrelid AND attname = %(column)s
ORDER BY 2
"""
_GRANTS_SQL = """
SELECT privilege_type, grantee::regrole::text, is_grantable FROM pg_attribute, aclexplode(attacl)
WHERE attrelid = to_regclass(%(table)s) AND attname = %(column)s
"""


def find_dependents(schema_editor: Any, column: WatchedColumn, *, is_key: bool = False) -> list[str]:
    """Return what depends on the old column and cannot be made anew for another one, in words.

    Foreign keys that refer to a primary key can.
    """
    params = {"own": column.trigger_prefix, "is_key": is_key}
    rows = _fetch(schema_editor, _DEPENDENTS_SQL, column.table, column.old, **params)
    return [description for (description,) in rows]


def find_publications(schema_editor: Any, table: str, column: str) -> list[str]:
    """Return the publications whose column list or row filter has the column."""
    return [name for name, *_ in _fetch(schema_editor, _PUBLICATIONS_SQL, table, column)]


def recreate_statements(schema_editor: Any, table: str, column: str) -> tuple[list[str], list[str]]:
    """Return the statements that drop what follows the column, and those that create it for its name."""
    drop, create = [], []
    quoted = schema_editor.quote_name(table)
    for name, row_filter, columns in _fetch(schema_editor, _PUBLICATIONS_SQL, table, column):
        publication = f"ALTER PUBLICATION {sql.Identifier(name).as_string()}"
        listed = f" ({', '.join(sql.Identifier(c).as_string() for c in columns)})" if columns else ""
        condition = f" WHERE ({row_filter})" if row_filter else ""
        drop.append(f"{publication} DROP TABLE {quoted}")
        create.append(f"{publication} ADD TABLE {quoted}{listed}{condition}")
    for _, name, definition in _fetch(schema_editor, _STATISTICS_SQL, table, column):
        drop.append(f"DROP STATISTICS {name}")
        create.append(definition)
    return drop, create


def grant_statements(schema_editor: Any, table: str, source: str, target: str) -> list[str]:
    """Return the statements that give the target the grants of the source that it lacks."""
    there = _fetch(schema_editor, _GRANTS_SQL, table, target)
    return [
        f"GRANT {privilege} ({sql.Identifier(target).as_string()}) ON {schema_editor.quote_name(table)}"
        f" TO {'PUBLIC' if role == '-' else role}{' WITH GRANT OPTION' if is_grantable else ''}"
        for privilege, role, is_grantable in _fetch(schema_editor, _GRANTS_SQL, table, source)
        if (privilege, role, is_grantable) not in there
    ]


def _fetch(schema_editor: Any, query: str, table: str, column: str, **params: Any) -> list[tuple[Any, ...]]:
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(query, {"table": schema_editor.quote_name(table), "column": column, **params})
        return list(cursor.fetchall())
