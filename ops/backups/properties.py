"""What a database has of its own, which no dump of its tables holds: owner, locale, settings, grants."""

from __future__ import annotations

import json
from typing import Any, Protocol

DatabaseProperties = dict[str, Any]
# The tablespace is told only where it is another than new databases have: to name one takes a right on it.
_PROPERTIES_SQL = """
SELECT jsonb_build_object(
    'encoding', pg_encoding_to_char(d.encoding), 'collate', d.datcollate, 'ctype', d.datctype,
    'provider', d.datlocprovider,
    'locale', coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'),  -- until PostgreSQL 16
    'rules', to_jsonb(d) ->> 'daticurules',
    'owner', pg_get_userbyid(d.datdba),
    'tablespace', CASE WHEN d.dattablespace <> t.dattablespace THEN spcname END,
    'limit', d.datconnlimit,
    'template', d.datistemplate,
    'comment', shobj_description(d.oid, 'pg_database'),
    'labels', ARRAY(SELECT jsonb_build_array(provider, label) FROM pg_shseclabel
        WHERE classoid = 'pg_database'::regclass AND objoid = d.oid ORDER BY provider),
    'settings', ARRAY(
        SELECT jsonb_build_array(rolname, split_part(told, '=', 1), substr(told, strpos(told, '=') + 1))
        FROM pg_db_role_setting LEFT JOIN pg_roles r ON r.oid = setrole, unnest(setconfig) AS told
        WHERE setdatabase = d.oid ORDER BY rolname NULLS FIRST, told),
    'grants', CASE WHEN d.datacl IS NOT NULL THEN ARRAY(
        SELECT jsonb_build_array(privilege_type, rolname, is_grantable)
        FROM aclexplode(d.datacl) LEFT JOIN pg_roles r ON r.oid = grantee
        ORDER BY rolname, privilege_type) END)
FROM pg_database d JOIN pg_tablespace s ON s.oid = d.dattablespace, pg_database t
WHERE d.datname = %s AND t.datname = 'template0'
"""


class Cursor(Protocol):
    """Of psycopg, or of Django."""

    def execute(self, query: Any, params: Any) -> Any: ...
    def fetchone(self) -> Any: ...


def read_database_properties(database: str, cursor: Cursor) -> DatabaseProperties | None:
    """None where the server has no such database.

    ``settings`` are (role or None for all, name, value), ``grants`` (privilege, role or None for PUBLIC,
    whether it may be passed on), or None as long as they are the default.
    """
    cursor.execute(_PROPERTIES_SQL, [database])
    found = cursor.fetchone()
    told: DatabaseProperties | str | None = found and found[0]
    return json.loads(told) if isinstance(told, str) else told  # Django's cursors leave JSON as it came


def redact_custom_settings(properties: DatabaseProperties) -> DatabaseProperties:
    """As they may be written down: the value of a setting that is not PostgreSQL's own may be a secret."""
    settings = [[role, name, None if "." in name else value] for role, name, value in properties["settings"]]
    return {**properties, "settings": settings}
