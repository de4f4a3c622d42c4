"""The check that a new session uses the schema that DATABASE_URL names."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql


class WrongSchema(OperationalError):
    """The session's current schema is not the one that DATABASE_URL names."""


def check_schema(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Close the new connection and raise WrongSchema, which says what to type, if it uses another schema.

    Other databases of the server are not checked: one that is being restored has no schema yet.
    """
    expected = settings.DATABASE_SCHEMA
    if not expected or connection.settings_dict["NAME"] != settings.DATABASES["default"]["NAME"]:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_schema(), to_regnamespace(quote_ident(%s)) IS NOT NULL,"
            " current_user, current_database()",
            [expected],
        )
        current, exists, user, database = cursor.fetchone()
    if current != expected:
        connection.close()
        raise WrongSchema(_format_wrong_schema(expected, current, exists, user, database))


def _format_wrong_schema(expected: str, current: str | None, exists: bool, user: str, database: str) -> str:
    if not exists:
        create = sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(expected)).as_string()
        return (
            f"DATABASE_URL names the schema {expected}, which {database} does not have.\nIn psql: {create};"
        )
    alter = sql.SQL("ALTER ROLE {} IN DATABASE {} SET search_path = {}").format(
        *map(sql.Identifier, (user, database, expected))
    )
    return (
        f"DATABASE_URL names the schema {expected}, but the session uses {current or 'none'}: a pooler does"
        f" not pass search_path on, so set it for the role.\nIn psql: {alter.as_string()};"
    )
