"""The parameters and the schema of a database URL."""

from collections.abc import Iterator
from urllib.parse import quote

import psycopg
import pytest
from django.db import connection

from kyndo.database import parse_database_url
from kyndo.env_validation import validate_environment
from tests.conftest import Manage
from tests.kyndo.test_settings import PRODUCTION, refused
from tests.ops.running import execute_sql

URL = "postgres://kyndo:hidden@127.0.0.1:9/kyndo"


def options(query: str) -> dict[str, object]:
    kept: dict[str, object] = parse_database_url(f"{URL}?{query}")["OPTIONS"]
    return kept


@pytest.mark.parametrize("name", ["DATABASE_URL", "DIRECT_DATABASE_URL"])
@pytest.mark.parametrize("key", ["sslaccept", "foo", "isolation_level", "assume_role", "pool", "SSLMODE"])
def test_an_unknown_url_parameter_is_refused_in_one_line(name: str, key: str) -> None:
    [message] = refused(**{name: f"{URL}?sslmode=require&{key}=secret"}).splitlines()
    assert message.startswith(f"{name} has the parameter {key!r}, which PostgreSQL's client does not know.")
    assert "secret" not in message
    assert "hidden" not in message


def test_an_invalid_direct_url_is_refused() -> None:
    assert refused(DIRECT_DATABASE_URL="localhost:5432").startswith("DIRECT_DATABASE_URL is not a URL like")


def test_parameters_of_prismas_pool_are_not_sent_to_the_server() -> None:
    settings = options(
        "connection_limit=5&pool_timeout=2&pgbouncer=true&statement_cache_size=0&sslmode=require"
    )
    assert settings["sslmode"] == "require"
    assert not {"connection_limit", "pool_timeout", "pgbouncer", "statement_cache_size"} & settings.keys()


def test_several_hosts_are_tried_in_turn() -> None:
    settings = parse_database_url("postgres://u:p@one:1,two:2/db?target_session_attrs=read-write")
    assert (settings["HOST"], settings["PORT"]) == ("one,two", "1,2")
    assert refused(DATABASE_URL="postgres://u:p@one:1,two:b/db").startswith("DATABASE_URL is not a URL like")


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ("schema=game", '-c search_path="game"'),
        ("schema=my%20%22own%22", '-c search_path="my\\ ""own"""'),
        ("schema=game&options=-c%20jit%3Doff", '-c jit=off -c search_path="game"'),
        ("schema=public", None),
        ("schema=game&pgbouncer=true", None),  # which refuses options
    ],
)
def test_a_schema_is_sent_as_the_search_path(query: str, sent: str | None) -> None:
    assert options(query).get("options") == sent


def test_the_second_url_is_in_the_schema_of_the_first() -> None:
    assert parse_database_url(URL, "game")["OPTIONS"]["options"] == '-c search_path="game"'
    assert parse_database_url(f"{URL}?schema=other", "game")["OPTIONS"]["options"] == '-c search_path="other"'


@pytest.fixture
def schema(transactional_db: None) -> Iterator[str]:
    name = 'the "new" game'
    quoted = psycopg.sql.Identifier(name).as_string()
    execute_sql(f"CREATE SCHEMA {quoted}")
    yield name
    execute_sql(f"DROP SCHEMA {quoted} CASCADE")


def test_commands_work_in_the_schema_that_the_url_asks_for(manage: Manage, schema: str) -> None:
    env = {"DATABASE_URL": f"{manage.database_url}?schema={quote(schema)}"}
    assert manage("migrate", env=env).returncode == 0
    assert manage("load_rules", "--execute", env=env).returncode == 0
    assert execute_sql('SELECT count(*) FROM "the ""new"" game".presentation_rules') != [(0,)]
    assert execute_sql("SELECT count(*) FROM public.presentation_rules") == [(0,)]


@pytest.mark.parametrize("query", ["schema=public", "schema=public&connection_limit=5&pgbouncer=true"])
def test_a_url_of_prisma_works(manage: Manage, query: str) -> None:
    done = manage("runs", env={"DATABASE_URL": f"{manage.database_url}?{query}"})
    assert (done.returncode, done.stderr) == (0, "")


def test_a_missing_schema_is_reported_with_the_statement_to_type(manage: Manage) -> None:
    done = manage("runs", env={"DATABASE_URL": f"{manage.database_url}?schema=no%20game"})
    first, second = done.stderr.splitlines()
    assert done.returncode == 1
    assert first.startswith("DATABASE_URL names the schema no game, which ")
    assert second == 'In psql: CREATE SCHEMA "no game";'


def test_a_session_in_another_schema_is_refused_with_what_to_type(manage: Manage, schema: str) -> None:
    query = f"schema={quote(schema)}&pgbouncer=true"
    done = manage("runs", env={"DATABASE_URL": f"{manage.database_url}?{query}"})
    first, second = done.stderr.splitlines()
    assert done.returncode == 1
    assert "the session uses public: a pooler does not pass search_path on" in first
    alter = f'ALTER ROLE "kyndo" IN DATABASE "{connection.settings_dict["NAME"]}" SET search_path = '
    assert second == f'In psql: {alter}"the ""new"" game";'


def test_production_may_name_all_of_it() -> None:
    query = "schema=public&connection_limit=5&sslmode=require&target_session_attrs=read-write"
    environ = {**PRODUCTION, "DATABASE_URL": f"{URL}?{query}", "DIRECT_DATABASE_URL": URL}
    validate_environment({name: value for name, value in environ.items() if value is not None})
