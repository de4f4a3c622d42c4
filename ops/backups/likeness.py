"""A new database like another: what CREATE DATABASE says of it, which no dump of its tables holds."""

from __future__ import annotations

from typing import Any

from psycopg import sql

from ops.backups.server import Connection

_PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}
_LOCALES = {"i": "ICU_LOCALE", "b": "BUILTIN_LOCALE"}
_FACTS = """
SELECT to_jsonb(d), pg_encoding_to_char(encoding), pg_get_userbyid(datdba), spcname
FROM pg_database d JOIN pg_tablespace t ON t.oid = dattablespace WHERE datname = %s
"""
_SETTINGS = """
SELECT split_part(setting, '=', 1), substr(setting, strpos(setting, '=') + 1)
FROM pg_db_role_setting s JOIN pg_database d ON d.oid = setdatabase, unnest(setconfig) AS setting
WHERE datname = %s AND setrole = 0
"""
_GRANTS = """
SELECT privilege_type, grantee = 0, coalesce(rolname, ''), is_grantable
FROM pg_database, aclexplode(datacl) LEFT JOIN pg_roles r ON r.oid = grantee WHERE datname = %s
"""


def create_like(server: Connection, new: str, model: str) -> None:
    """An empty database with the encoding, locale, owner and tablespace of another, if that is there."""
    found = server.execute(_FACTS, [model]).fetchone()
    options = _options(*found) if found else {"ENCODING": "UTF8"}
    told = [sql.SQL("{} {}").format(sql.SQL(name), _quoted(name, value)) for name, value in options.items()]
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0 {}")
    server.execute(statement.format(sql.Identifier(new), sql.SQL(" ").join(told)))


def _options(facts: dict[str, Any], encoding: str, owner: str, tablespace: str) -> dict[str, str]:
    provider = facts["datlocprovider"]
    locale = facts.get("datlocale") or facts.get("daticulocale")  # its name before PostgreSQL 17
    options = {
        "OWNER": owner,
        "TABLESPACE": tablespace,
        "ENCODING": encoding,
        "LC_COLLATE": facts["datcollate"],
        "LC_CTYPE": facts["datctype"],
        "LOCALE_PROVIDER": _PROVIDERS[provider],
    }
    return {**options, _LOCALES[provider]: locale} if provider in _LOCALES and locale else options


def _quoted(name: str, value: str) -> sql.Composable:
    return sql.Identifier(value) if name in ("OWNER", "TABLESPACE") else sql.Literal(value)


def copy_settings(server: Connection, new: str, model: str) -> None:
    """Its settings, limit of connections and privileges too; in a transaction, so that all or none appear."""
    database = sql.Identifier(new)
    for name, value in server.execute(_SETTINGS, [model]).fetchall():
        # As stored, a list of names included, which a literal after TO would make one name.
        server.execute("SELECT set_config(%s, %s, true)", [name, value])
        setting = sql.SQL(".").join(map(sql.Identifier, name.split(".")))
        server.execute(sql.SQL("ALTER DATABASE {} SET {} FROM CURRENT").format(database, setting))
    limit = server.execute("SELECT datconnlimit FROM pg_database WHERE datname = %s", [model]).fetchone()
    if limit:
        statement = sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}")
        server.execute(statement.format(database, sql.Literal(limit[0])))
    _copy_grants(server, database, model)


def _copy_grants(server: Connection, database: sql.Identifier, model: str) -> None:
    grants = server.execute(_GRANTS, [model]).fetchall()
    if grants:  # else they are the defaults, as those of any new database
        server.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    for privilege, public, role, grantable in grants:
        statement = sql.SQL("GRANT {} ON DATABASE {} TO {} {}").format(
            sql.SQL(privilege),
            database,
            sql.SQL("PUBLIC") if public else sql.Identifier(role),
            sql.SQL("WITH GRANT OPTION" if grantable else ""),
        )
        server.execute(statement)
