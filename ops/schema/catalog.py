"""A schema as PostgreSQL itself tells it: every object with its definition."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connections


@dataclass(frozen=True, order=True)
class Thing:
    """What an object is and whose: ``column cards.rarity``, ``trigger cards.keep_rarity_equal``."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


Catalog = dict[Thing, str]

# Each gives (kind, name, definition) of what stands in the schema; $SCHEMA is its oid. What an extension
# brought is the extension's.
_PARTS = (
    """
    SELECT CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE 'table' END, relname,
        concat_ws(' ', CASE relkind WHEN 'p' THEN 'partitioned' END,
            CASE relpersistence WHEN 'u' THEN 'unlogged' END,
            CASE WHEN relrowsecurity THEN 'row level security' END,
            'with (' || array_to_string(reloptions, ', ') || ')',
            CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(oid) END)
    FROM pg_class c WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND relnamespace = $SCHEMA
    """,
    """
    SELECT 'column', relname || '.' || attname,
        concat_ws(' ', format_type(atttypid, atttypmod), 'collate ' || nullif(collname, 'default'),
            CASE WHEN attnotnull THEN 'not null' END,
            CASE attidentity WHEN 'a' THEN 'identity always' WHEN 'd' THEN 'identity by default' END,
            CASE WHEN attgenerated = '' THEN 'default ' ELSE 'generated as ' END
                || pg_get_expr(adbin, adrelid))
    FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        LEFT JOIN pg_collation ON pg_collation.oid = attcollation
    WHERE relkind IN ('r', 'p', 'f') AND relnamespace = $SCHEMA AND attnum > 0 AND NOT attisdropped
    """,
    """
    SELECT 'index', c.relname, pg_get_indexdef(indexrelid) || CASE WHEN indisvalid THEN '' ELSE ' INVALID' END
    FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE relnamespace = $SCHEMA
    """,
    """
    SELECT 'constraint', relname || '.' || conname, pg_get_constraintdef(pg_constraint.oid)
    FROM pg_constraint JOIN pg_class c ON c.oid = conrelid
    WHERE connamespace = $SCHEMA AND contype IN ('c', 'f', 'p', 'u', 'x')
    """,
    """
    SELECT 'trigger', relname || '.' || tgname,
        concat_ws(' ', pg_get_triggerdef(pg_trigger.oid), CASE WHEN tgenabled <> 'O' THEN 'DISABLED' END)
    FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid WHERE NOT tgisinternal AND relnamespace = $SCHEMA
    """,
    """
    SELECT 'function', proname || '(' || pg_get_function_identity_arguments(c.oid) || ')',
        pg_get_functiondef(c.oid)
    FROM pg_proc c WHERE pronamespace = $SCHEMA AND prokind IN ('f', 'p')
    """,
    """
    SELECT 'type', typname, (SELECT string_agg(enumlabel, ', ' ORDER BY enumsortorder)
        FROM pg_enum WHERE enumtypid = c.oid)
    FROM pg_type c WHERE typtype = 'e' AND typnamespace = $SCHEMA
    """,
    "SELECT 'extension', extname, '' FROM pg_extension c",
)
_NOT_OF_AN_EXTENSION = "NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')"


def catalog_of(alias: str) -> Catalog:
    """Every object in the schema that Django writes to."""
    found: Catalog = {}
    with connections[alias].cursor() as cursor:
        for part in _PARTS:
            statement = part.replace("$SCHEMA", "current_schema()::regnamespace")
            if "WHERE" in statement:
                statement = f"{statement} AND {_NOT_OF_AN_EXTENSION}"
            cursor.execute(statement)
            found |= {Thing(kind, name): definition for kind, name, definition in cursor.fetchall()}
    return found
