"""Properties of a database that pg_dump does not dump: owner, locale, settings, grants."""

from __future__ import annotations

import json
from typing import Any

from ops.backups.server import Cursor

DatabaseProperties = dict[str, Any]
# The tablespace is NULL if it is the default one: naming it in CREATE DATABASE takes a privilege.
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
        SELECT jsonb_build_array(
            rolname, split_part(setting, '=', 1), substr(setting, strpos(setting, '=') + 1))
        FROM pg_db_role_setting LEFT JOIN pg_roles r ON r.oid = setrole, unnest(setconfig) AS setting
        WHERE setdatabase = d.oid ORDER BY rolname NULLS FIRST, setting),
    'grants', CASE WHEN d.datacl IS NOT NULL THEN ARRAY(
        SELECT jsonb_build_array(privilege_type, rolname, is_grantable)
        FROM aclexplode(d.datacl) LEFT JOIN pg_roles r ON r.oid = grantee
        ORDER BY rolname, privilege_type) END)
FROM pg_database d JOIN pg_tablespace s ON s.oid = d.dattablespace, pg_database t
WHERE d.datname = %s AND t.datname = 'template0'
"""


def read_database_properties(database: str, cursor: Cursor) -> DatabaseProperties | None:
    """Read the properties, or None if there is no such database.

    ``settings`` are (role or None for all roles, name, value); ``grants`` are (privilege, role or None for
    PUBLIC, with grant option), or None if they are the default.
    """
    cursor.execute(_PROPERTIES_SQL, [database])
    row = cursor.fetchone()
    properties: DatabaseProperties | str | None = row and row[0]
    return json.loads(properties) if isinstance(properties, str) else properties  # Django does not parse JSON


def redact_custom_settings(properties: DatabaseProperties) -> DatabaseProperties:
    """Remove the values of custom settings (``app.secret``), which may be secrets, for the manifest."""
    settings = [[role, name, None if "." in name else value] for role, name, value in properties["settings"]]
    return {**properties, "settings": settings}
