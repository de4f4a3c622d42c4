"""Catalog queries for PostgreSQL 15 to 19, whose rows are (kind, name, definition, is_current).

They cover what migrations can create and a dump keeps: no owners, no privileges, no values of sequences, and
no objects of extensions. ``is_current`` is true in the schema to which new tables go, and false in the other
schemas of the search_path.
"""

from __future__ import annotations

from string import Template


def _from_visible(catalog: str, namespace: str, kind: str) -> str:
    """Return the rest of a query, up to its WHERE; ``c`` are the visible objects of the search_path."""
    return (
        f"nspname = current_schema() FROM pg_namespace n JOIN {catalog} c ON c.{namespace} = n.oid"
        f" AND nspname = ANY (current_schemas(false)) AND {kind}_is_visible(c.oid)"
    )


_TEMPLATE_PARAMS = {
    "in_a_relation": _from_visible("pg_class", "relnamespace", "pg_table"),
    "in_a_function": _from_visible("pg_proc", "pronamespace", "pg_function"),
    "in_a_type": _from_visible("pg_type", "typnamespace", "pg_type"),
    "in_a_collation": _from_visible("pg_collation", "collnamespace", "pg_collation"),
    "in_statistics": _from_visible("pg_statistic_ext", "stxnamespace", "pg_statistics_obj"),
}
_NOT_IN_EXTENSION = """
    AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = c.tableoid AND objid = c.oid AND deptype = 'e')
"""

_TABLE = """
SELECT CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE 'table' END, relname,
    concat_ws(' ', CASE relkind WHEN 'p' THEN 'partitioned by ' || pg_get_partkeydef(c.oid) END,
        (SELECT 'of ' || string_agg(inhparent::regclass::text, ', ' ORDER BY inhseqno)
            FROM pg_inherits WHERE inhrelid = c.oid),
        pg_get_expr(relpartbound, c.oid),
        CASE relpersistence WHEN 'u' THEN 'unlogged' END,
        CASE WHEN relrowsecurity THEN 'row level security' END,
        CASE WHEN relforcerowsecurity THEN 'forced row level security' END,
        CASE relreplident WHEN 'n' THEN 'replica identity nothing' WHEN 'f' THEN 'replica identity full' END,
        (SELECT 'using ' || amname FROM pg_am WHERE oid = relam AND amname <> 'heap'),
        'with (' || array_to_string(reloptions, ', ') || ')',
        (SELECT 'toast with (' || array_to_string(t.reloptions, ', ') || ')'
            FROM pg_class t WHERE t.oid = c.reltoastrelid),
        (SELECT 'tablespace ' || spcname FROM pg_tablespace WHERE oid = reltablespace),
        'comment ' || quote_literal(obj_description(c.oid, 'pg_class')),
        CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END),
    $in_a_relation WHERE relkind IN ('r', 'p', 'v', 'm', 'f')
"""
# Since PostgreSQL 18 a NOT NULL has a constraint of its own. Options that begin with pg_ are left out: 15.20
# keeps a version of each column there (pg_attver), which differs between databases.
_COLUMN = """
SELECT 'column', relname || '.' || attname,
    concat_ws(' ', format_type(atttypid, atttypmod), 'collate ' || nullif(collname, 'default'),
        CASE WHEN attnotnull THEN 'not null' END,
        CASE WHEN NOT convalidated THEN 'not valid' END, CASE WHEN connoinherit THEN 'no inherit' END,
        CASE attidentity WHEN 'a' THEN 'identity always' WHEN 'd' THEN 'identity by default' END,
        CASE WHEN attgenerated = '' THEN 'default ' ELSE 'generated as ' END || pg_get_expr(adbin, adrelid),
        CASE attgenerated WHEN 's' THEN 'stored' WHEN 'v' THEN 'virtual' END,
        CASE WHEN attstorage <> typstorage THEN 'storage ' || CASE attstorage
            WHEN 'p' THEN 'plain' WHEN 'e' THEN 'external' WHEN 'm' THEN 'main' ELSE 'extended' END END,
        CASE attcompression WHEN 'p' THEN 'compression pglz' WHEN 'l' THEN 'compression lz4' END,
        CASE WHEN attstattarget >= 0 THEN 'statistics ' || attstattarget END,
        (SELECT 'with (' || string_agg(option, ', ') || ')' FROM unnest(attoptions) AS option
            WHERE NOT starts_with(option, 'pg_')),
        'comment ' || quote_literal(col_description(c.oid, attnum))),
    $in_a_relation JOIN pg_attribute ON attrelid = c.oid JOIN pg_type t ON t.oid = atttypid
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        LEFT JOIN pg_collation ON pg_collation.oid = attcollation
        LEFT JOIN pg_constraint ON conrelid = attrelid AND contype = 'n' AND conkey = ARRAY[attnum]
WHERE relkind IN ('r', 'p', 'f') AND attnum > 0 AND NOT attisdropped
"""
_INDEX = """
SELECT 'index', relname,
    concat_ws(' ', pg_get_indexdef(c.oid), CASE WHEN NOT indisvalid THEN 'INVALID' END,
        CASE WHEN indisclustered THEN 'CLUSTER' END, CASE WHEN indisreplident THEN 'REPLICA IDENTITY' END,
        (SELECT 'TABLESPACE ' || spcname FROM pg_tablespace WHERE oid = reltablespace),
        (SELECT 'STATISTICS ' || string_agg(attnum || ': ' || attstattarget, ', ' ORDER BY attnum)
            FROM pg_attribute WHERE attrelid = c.oid AND attstattarget >= 0)),
    $in_a_relation JOIN pg_index ON indexrelid = c.oid WHERE true
"""
# DISABLE TRIGGER ALL disables a foreign key, which its definition does not show.
_CONSTRAINT = """
SELECT 'constraint', relname || '.' || conname,
    concat_ws(' ', pg_get_constraintdef(k.oid), CASE WHEN EXISTS (
        SELECT FROM pg_trigger WHERE tgconstraint = k.oid AND tgisinternal AND tgenabled NOT IN ('O', 'A'))
        THEN 'DISABLED' END),
    $in_a_relation JOIN pg_constraint k ON conrelid = c.oid WHERE contype IN ('c', 'f', 'p', 'u', 'x')
"""
_TRIGGER = """
SELECT 'trigger', relname || '.' || tgname,
    concat_ws(' ', pg_get_triggerdef(t.oid), CASE tgenabled WHEN 'D' THEN 'DISABLED'
        WHEN 'R' THEN 'ENABLED REPLICA' WHEN 'A' THEN 'ENABLED ALWAYS' END),
    $in_a_relation JOIN pg_trigger t ON tgrelid = c.oid WHERE NOT tgisinternal
"""
_POLICY = """
SELECT 'policy', relname || '.' || polname,
    concat_ws(' ', CASE WHEN NOT polpermissive THEN 'restrictive' END,
        'for ' || CASE polcmd WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update'
            WHEN 'd' THEN 'delete' ELSE 'all' END,
        'to ' || (SELECT string_agg(CASE role WHEN 0 THEN 'public' ELSE role::regrole::text END, ', ')
            FROM unnest(polroles) AS role),
        'using (' || pg_get_expr(polqual, polrelid) || ')',
        'with check (' || pg_get_expr(polwithcheck, polrelid) || ')'),
    $in_a_relation JOIN pg_policy ON polrelid = c.oid WHERE true
"""
_RULE = """
SELECT 'rule', relname || '.' || rulename,
    concat_ws(' ', pg_get_ruledef(r.oid), CASE WHEN ev_enabled <> 'O' THEN 'DISABLED' END),
    $in_a_relation JOIN pg_rewrite r ON ev_class = c.oid WHERE rulename <> '_RETURN'
"""
_SEQUENCE = """
SELECT 'sequence', c.relname,
    concat_ws(' ', CASE c.relpersistence WHEN 'u' THEN 'unlogged' END, format_type(seqtypid, NULL),
        'start ' || seqstart, 'increment ' || seqincrement, 'minvalue ' || seqmin, 'maxvalue ' || seqmax,
        'cache ' || seqcache, CASE WHEN seqcycle THEN 'cycle' END,
        (SELECT 'owned by ' || t.relname || '.' || attname
            FROM pg_depend JOIN pg_class t ON t.oid = refobjid
                JOIN pg_attribute ON attrelid = t.oid AND attnum = refobjsubid
            WHERE classid = 'pg_class'::regclass AND objid = c.oid AND refclassid = 'pg_class'::regclass
                AND deptype IN ('a', 'i'))),
    $in_a_relation JOIN pg_sequence ON seqrelid = c.oid WHERE true
"""
_FUNCTION = """
SELECT 'function', proname || '(' || pg_get_function_identity_arguments(c.oid) || ')',
    pg_get_functiondef(c.oid),
    $in_a_function
WHERE prokind IN ('f', 'p') AND NOT EXISTS (
    SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = c.oid AND deptype = 'i')
"""
_AGGREGATE = """
SELECT 'aggregate', proname || '(' || pg_get_function_identity_arguments(c.oid) || ')',
    concat_ws(' ', aggtransfn::text, format_type(aggtranstype, NULL), aggfinalfn::text, agginitval),
    $in_a_function
        JOIN pg_aggregate ON aggfnoid = c.oid WHERE true
"""
_TYPE = """
SELECT 'type', typname, CASE typtype
    WHEN 'e' THEN (SELECT string_agg(enumlabel, ', ' ORDER BY enumsortorder) FROM pg_enum
        WHERE enumtypid = c.oid)
    WHEN 'd' THEN concat_ws(' ', 'domain over', format_type(typbasetype, typtypmod),
        (SELECT 'collate ' || nullif(collname, 'default') FROM pg_collation WHERE oid = typcollation),
        CASE WHEN typnotnull THEN 'not null' END, 'default ' || typdefault,
        (SELECT string_agg(pg_get_constraintdef(oid), ' ' ORDER BY conname)
            FROM pg_constraint WHERE contypid = c.oid AND contype = 'c'))
    WHEN 'c' THEN (SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum)
        FROM pg_attribute WHERE attrelid = typrelid AND attnum > 0 AND NOT attisdropped)
    ELSE (SELECT 'range of ' || format_type(rngsubtype, NULL) FROM pg_range WHERE rngtypid = c.oid) END,
    $in_a_type
WHERE (typtype IN ('e', 'd', 'r') OR EXISTS (SELECT FROM pg_class WHERE oid = typrelid AND relkind = 'c'))
"""
_COLLATION = """
SELECT 'collation', collname,
    (to_jsonb(c) - '{oid,collname,collnamespace,collowner,collversion}'::text[])::text,
    $in_a_collation WHERE true
"""
_STATISTICS = """
SELECT 'statistics', stxname,
    concat_ws(' ', pg_get_statisticsobjdef(c.oid), CASE WHEN stxstattarget >= 0 THEN stxstattarget END),
    $in_statistics WHERE true
"""
_EXTENSION = "SELECT 'extension', extname, '', true FROM pg_extension"

_RELATION_QUERIES = (_TABLE, _COLUMN, _INDEX, _CONSTRAINT, _TRIGGER, _POLICY, _RULE, _SEQUENCE)
_NAMESPACE_QUERIES = (_FUNCTION, _AGGREGATE, _TYPE, _COLLATION, _STATISTICS)

CATALOG_QUERIES = (
    *(
        Template(part + _NOT_IN_EXTENSION).substitute(_TEMPLATE_PARAMS)
        for part in (*_RELATION_QUERIES, *_NAMESPACE_QUERIES)
    ),
    _EXTENSION,
)
