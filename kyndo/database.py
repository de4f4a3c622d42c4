"""The settings of a database connection, from its URL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from environ import Env  # type: ignore[import-untyped]
from psycopg import IsolationLevel
from psycopg.pq import Conninfo

_LIBPQ_OPTIONS = {option.keyword.decode() for option in Conninfo.get_defaults()}
_DJANGO_OPTIONS = {"conn_max_age"}
# For Prisma's own connection pool: here each thread has one connection.
_PRISMA_POOL_OPTIONS = {"connection_limit", "pool_timeout", "statement_cache_size", "pgbouncer"}
_SCHEMA_OPTION = "schema"
_KNOWN_OPTIONS = {*_LIBPQ_OPTIONS, *_DJANGO_OPTIONS, *_PRISMA_POOL_OPTIONS, _SCHEMA_OPTION}
# After a network failure give up within a minute; TCP itself would wait for hours.
_KEEPALIVE_OPTIONS = {
    "connect_timeout": 10,
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 45_000,
}


def iter_unknown_parameters(name: str, url: str) -> Iterator[str]:
    """Yield a message for each unknown query parameter of the URL in variable ``name``, without its value."""
    for key, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        if key.lower() not in _DJANGO_OPTIONS and key not in _KNOWN_OPTIONS:
            yield (
                f"{name} has the parameter {key!r}, which PostgreSQL's client does not know. Remove it."
                " Valid parameters: https://www.postgresql.org/docs/current/libpq-connect.html"
            )


def parse_schema(url: str) -> str:
    """Return the schema named by the URL in Prisma's form, ``?schema=game``; "" if it names none."""
    return dict(parse_qsl(urlsplit(url).query)).get(_SCHEMA_OPTION, "")


def parse_database_url(url: str, schema: str = "", application_name: str = "") -> dict[str, Any]:
    """Convert a URL to an entry of Django's DATABASES.

    The schema and the application_name are for a URL that names none; PGAPPNAME goes before the latter.

    The schema is set as search_path in the startup message, which poolers refuse. So it is not sent where the
    URL says ``pgbouncer=true``, nor for ``public``, which is usually the default anyway. In either case
    `kyndo.schema` checks that a new session uses the schema.
    """
    settings: dict[str, Any] = Env.db_url_config(url)
    parameters = settings.get("OPTIONS", {})
    options = {key: value for key, value in parameters.items() if key in _LIBPQ_OPTIONS}
    schema = str(parameters.get(_SCHEMA_OPTION, "")) or schema
    if schema not in ("", "public") and str(parameters.get("pgbouncer", "")).lower() != "true":
        options["options"] = (
            f"{options.get('options', '')} -c search_path={_quote_identifier(schema)}".strip()
        )
    # Not the server's default: a batch must see what was committed before it locked its lane.
    settings["OPTIONS"] = {
        **_KEEPALIVE_OPTIONS,
        **({"fallback_application_name": application_name} if application_name else {}),
        "isolation_level": IsolationLevel.READ_COMMITTED,
        **options,
    }
    # A cursor WITH HOLD needs a session, which a pooler in transaction mode does not provide.
    settings["DISABLE_SERVER_SIDE_CURSORS"] = True
    return settings


def _quote_identifier(schema: str) -> str:
    """Quote an identifier for the ``options`` parameter, where an unescaped space ends an option."""
    identifier = '"' + schema.replace('"', '""') + '"'
    return identifier.replace("\\", "\\\\").replace(" ", "\\ ")
