"""The schema that DATABASE_URL asks for: whether a new session is in it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql


class WrongSchema(OperationalError):
    """The session is in another schema than DATABASE_URL asks for."""


def check_schema(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Close the new connection and raise WrongSchema, which tells what to type, where it is in another.

    Not of the other databases of the server: one that is just being filled has no schema yet.
    """
    wanted, ours = settings.DATABASE_SCHEMA, settings.DATABASES["default"]["NAME"]
    if not wanted or connection.settings_dict["NAME"] != ours:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_schema(), to_regnamespace(quote_ident(%s)) IS NOT NULL,"
            " current_user, current_database()",
            [wanted],
        )
        found, exists, user, database = cursor.fetchone()
    if found != wanted:
        connection.close()
        raise WrongSchema(_format_wrong_schema(wanted, found, exists, user, database))


def _format_wrong_schema(wanted: str, found: str | None, exists: bool, user: str, database: str) -> str:
    if not exists:
        make = sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(wanted)).as_string()
        return f"DATABASE_URL asks for the schema {wanted}, which {database} does not have.\nIn psql: {make};"
    alter = sql.SQL("ALTER ROLE {} IN DATABASE {} SET search_path = {}").format(
        *map(sql.Identifier, (user, database, wanted))
    )
    return (
        f"DATABASE_URL asks for the schema {wanted}, and the session is in {found or 'none'}: a pooler passes"
        f" no search_path on, so the role must have it.\nIn psql: {alter.as_string()};"
    )
