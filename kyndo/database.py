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
# Prisma writes them for the pool that it keeps itself; connections are one a thread here.
_PRISMA_POOL_OPTIONS = {"connection_limit", "pool_timeout", "statement_cache_size", "pgbouncer"}
_SCHEMA_OPTION = "schema"
_KNOWN_OPTIONS = {*_LIBPQ_OPTIONS, *_DJANGO_OPTIONS, *_PRISMA_POOL_OPTIONS, _SCHEMA_OPTION}
# A server that a broken network hides is given up within a minute, not after the hours that TCP allows.
_KEEPALIVE_OPTIONS = {
    "connect_timeout": 10,
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 45_000,
}


def iter_unknown_parameters(name: str, url: str) -> Iterator[str]:
    """What is wrong with the query of the URL in that variable, in words; its values are not shown."""
    for key, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        if key.lower() not in _DJANGO_OPTIONS and key not in _KNOWN_OPTIONS:
            yield (
                f"{name} has the parameter {key!r}, which PostgreSQL's client does not know. Take it out;"
                " what there is: https://www.postgresql.org/docs/current/libpq-connect.html"
            )


def parse_schema(url: str) -> str:
    """The schema that the URL asks for, as Prisma writes it: ``?schema=game``; "" where it asks for none."""
    return dict(parse_qsl(urlsplit(url).query)).get(_SCHEMA_OPTION, "")


def parse_database_url(url: str, schema: str = "") -> dict[str, Any]:
    """One of Django's DATABASES; ``schema`` is what the other URL asks for, where this one asks for none.

    A schema goes to the server as its search_path with the first message of a session, which poolers refuse:
    not where the URL names one (``pgbouncer=true``), nor for ``public``, which is mostly the default anyway.
    Whether the session is in it is asked in either case: see `kyndo.schema`.
    """
    settings: dict[str, Any] = Env.db_url_config(url)
    asked = settings.get("OPTIONS", {})
    options = {key: value for key, value in asked.items() if key in _LIBPQ_OPTIONS}
    schema = str(asked.get(_SCHEMA_OPTION, "")) or schema
    if schema not in ("", "public") and str(asked.get("pgbouncer", "")).lower() != "true":
        options["options"] = (
            f"{options.get('options', '')} -c search_path={_quote_identifier(schema)}".strip()
        )
    # Whatever the server's default is: a batch sees what was committed before it had its lane.
    settings["OPTIONS"] = {**_KEEPALIVE_OPTIONS, "isolation_level": IsolationLevel.READ_COMMITTED, **options}
    # A cursor that outlives its transaction needs a session, which a pooler does not give.
    settings["DISABLE_SERVER_SIDE_CURSORS"] = True
    return settings


def _quote_identifier(schema: str) -> str:
    """An identifier, within the options of a connection, where a space ends an option."""
    identifier = '"' + schema.replace('"', '""') + '"'
    return identifier.replace("\\", "\\\\").replace(" ", "\\ ")
