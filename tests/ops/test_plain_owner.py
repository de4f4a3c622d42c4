"""Backups, restores and rehearsals by a role that only owns its database, with tables in any schema."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
import pytest
from django.db import connection, connections

from ops.backups.errors import MaintenanceFailed
from ops.backups.scratch import temporary_alias, temporary_database
from ops.backups.server import Server
from ops.backups.swap import has_live_database, swap
from ops.models import Run
from ops.states import State
from tests.manage import Manage
from tests.ops.running import create_run, execute_sql, make_operation, override_connection
from tests.trials.models import Thing

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "of the owner"
# Ways to set the search_path of sessions: to ``game``, or to another schema that exists.
SEARCH_PATHS = {
    "public": (),
    "database": ("ALTER DATABASE {d} SET search_path = game",),
    "role": ("ALTER ROLE {r} SET search_path = game, public",),
    "both": (
        "ALTER ROLE {r} SET search_path = public",
        "ALTER ROLE {r} IN DATABASE {d} SET search_path = 'no such', game, public",
    ),
    "user": ("ALTER DATABASE {d} RESET search_path",),
    "options": (),
}


@contextmanager
def superuser() -> Iterator["psycopg.Connection[Any]"]:
    with Server(connection.get_connection_params()).connect_for_maintenance() as maintenance:
        yield maintenance


@pytest.fixture
def owner() -> Iterator[str]:
    """A role that may log in and create databases, and nothing else."""
    role = f"owner_{secrets.token_hex(4)}"
    with superuser() as maintenance:
        maintenance.execute(f"CREATE ROLE {role} LOGIN CREATEDB PASSWORD '{PASSWORD}'")
        yield role
        query = (
            "SELECT datname FROM pg_database WHERE pg_get_userbyid(datdba) = %s OR starts_with(datname, %s)"
        )
        for (name,) in maintenance.execute(query, [role, role]).fetchall():
            maintenance.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        maintenance.execute(f"DROP ROLE {role}")


def create_owned_database(owner: str, way: str) -> dict[str, Any]:
    """Create a database of the owner with this search_path; return Django's settings for it."""
    schema = {"public": "public", "user": owner}.get(way, "game")
    with superuser() as maintenance:
        maintenance.execute(f"CREATE DATABASE {owner} OWNER {owner}")
        for statement in SEARCH_PATHS[way]:
            maintenance.execute(statement.format(d=owner, r=owner))
    options = {"options": "-c search_path=game"} if way == "options" else {}
    merged = {**connection.settings_dict["OPTIONS"], **options}
    settings = {"NAME": owner, "USER": owner, "PASSWORD": PASSWORD, "OPTIONS": merged}
    with override_connection(**settings):
        execute_sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        assert execute_sql("SELECT current_schema()") == [(schema,)]
    return settings


def create_migrated_database(owner: str, way: str) -> dict[str, Any]:
    settings = create_owned_database(owner, way)
    with override_connection(**settings):
        done = Manage().process(
            "migrate", "-v0", "--run-syncdb", "--skip-checks", env={"DATABASE_URL": _url(settings)}
        )
        assert (done.returncode, done.stderr) == (0, "")
    return settings


def _url(settings: dict[str, Any]) -> str:
    default = connection.settings_dict
    address = f"{settings['USER']}:{quote(PASSWORD)}@{default['HOST']}:{default['PORT']}/{settings['NAME']}"
    options = settings["OPTIONS"].get("options", "")
    return f"postgres://{address}?{urlencode({'options': options} if options else {}, quote_via=quote)}"


def parse_findings(text: str) -> dict[str, dict[str, Any]]:
    return {finding["name"]: finding for finding in json.loads(text)["lines"]}


@pytest.mark.long
@pytest.mark.parametrize("way", ["public", "database", pytest.param("both", marks=pytest.mark.engine)])
def test_createdb_is_enough_wherever_the_tables_are(
    tmp_path: Path, settings: Any, owner: str, way: str
) -> None:
    settings.BACKUP_DIR = tmp_path
    file = tmp_path / ("a.sql" if way == "both" else "a.dump")
    live, has_extension, extension = create_migrated_database(owner, way), way != "public", ""
    if has_extension:  # one that only a superuser may create
        with Server(connection.get_connection_params()).connect(owner) as superuser_session:
            query = "SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"
            extension = "vector" if superuser_session.execute(query).fetchone() else "pg_stat_statements"
            superuser_session.execute(f"CREATE EXTENSION {extension}")
    with override_connection(**live):
        create_run(make_operation(Thing.objects.filter(note=None), {"note": "x"}))
        manage = Manage()
        done = manage("backup_db", file, "--verify")
        assert (done.returncode, done.stderr) == (0, "")
        findings = parse_findings(manage("preflight", "--rehearse", "--json").stdout)
        severities = [findings[name]["light"] for name in ("backup", "drift", "rehearsal")]
        assert severities == ["green", "yellow" if has_extension else "green", "green"]
        assert findings["drift"]["details"] == [f"unexpected: extension {extension}"] * has_extension
        steps = [step.rpartition(" in ")[0] for step in findings["rehearsal"]["details"]]
        assert steps == [f"restored {file.name}", "ran the checks"]
        Run.objects.update(state=State.PAUSED)
        before = execute_sql("SELECT current_schema(), current_setting('search_path')")
        done = manage("restore_db", file, "--confirm", connection.settings_dict["NAME"])
        assert (done.returncode, done.stderr) == (0, "")
        connection.close()
        assert "These runs were active in the backup, and are now paused." in done.stdout
        assert (f'  CREATE EXTENSION "{extension}";' in done.stdout.splitlines()) == has_extension
        assert ("Not restored, since our role" in done.stdout) == has_extension
        assert execute_sql("SELECT current_schema(), current_setting('search_path')") == before
        assert execute_sql("SELECT state FROM ops_run") == [(State.PAUSED,)]


@pytest.mark.engine
@pytest.mark.parametrize("way", SEARCH_PATHS)
def test_a_scratch_database_has_the_search_path_of_the_live_one(owner: str, way: str) -> None:
    with override_connection(**create_owned_database(owner, way)):
        server, [(schema,)] = Server.default(), execute_sql("SELECT current_schema()")
        with (
            temporary_database(server, "drift") as name,
            temporary_alias(name, server.read_search_path()) as alias,
            connections[alias].cursor() as cursor,
        ):
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            cursor.execute("SELECT current_schema()")
            assert cursor.fetchone() == (schema,)


def test_a_role_without_createdb_gets_one_line(owner: str) -> None:
    settings = create_owned_database(owner, "public")
    with superuser() as maintenance:
        maintenance.execute(f"ALTER ROLE {owner} NOCREATEDB")
    with override_connection(**settings):
        done = Manage()("schema_drift")
    assert (done.returncode, done.stderr) == (
        1,
        f"CommandError: The role {owner} may not create databases, which this command needs."
        f" As a superuser: ALTER ROLE {owner} CREATEDB\n",
    )


@pytest.mark.engine
def test_a_database_of_another_owner_is_refused_before_a_restore(owner: str) -> None:
    create_owned_database(owner, "public")
    params = connection.get_connection_params()
    with superuser() as maintenance:
        maintenance.execute(f"CREATE DATABASE {owner}_not OWNER {params['user']}")
    server = Server({**params, "user": owner, "password": PASSWORD}, f"{owner}_not")
    message = (
        f"{owner}_not is owned by {params['user']}, so {owner} may not replace it. As a superuser: GRANT"
    )
    with pytest.raises(MaintenanceFailed, match=message):
        has_live_database(server)


@pytest.mark.engine
def test_statements_that_our_role_may_not_execute_are_returned(owner: str) -> None:
    create_owned_database(owner, "public")
    statements = [
        f"ALTER DATABASE {owner} SET log_min_duration_statement TO '100'",
        f"ALTER ROLE {owner}_x IN DATABASE {owner} SET work_mem TO '8MB'",
        f"ALTER DATABASE {owner} SET TABLESPACE {owner}",
    ]
    with superuser() as maintenance:
        maintenance.execute("SET allow_in_place_tablespaces = on")
        maintenance.execute(f"CREATE TABLESPACE {owner} LOCATION ''")
        maintenance.execute(f"CREATE ROLE {owner}_x")
        try:
            for statement in statements:
                maintenance.execute(statement)
            params = {**connection.get_connection_params(), "user": owner, "password": PASSWORD}
            live = Server(params, owner)
            with temporary_database(live, "restore") as new:
                old, refused = swap(live, new)
            maintenance.execute(f"DROP DATABASE {old}")
            assert [statement.replace('"', "") for statement in refused] == statements
            for statement in refused:  # as a superuser
                maintenance.execute(statement)
            maintenance.execute(f"DROP DATABASE {owner}")
        finally:
            maintenance.execute(f"DROP TABLESPACE {owner}")
            maintenance.execute(f"DROP ROLE {owner}_x")


def test_without_the_schema_public_migrate_says_what_is_missing(owner: str) -> None:
    settings = create_owned_database(owner, "database")
    with override_connection(**settings):
        execute_sql("DROP SCHEMA public")
        done = Manage().process("migrate", "-v0", "--skip-checks", env={"DATABASE_URL": _url(settings)})
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        1,
        'A schema is missing: schema "public" does not exist',
    )


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "ALTER DATABASE {o} SET search_path = nowhere",
            "The search_path of sessions is nowhere, and no such",
        ),
        ("ALTER DATABASE {o} OWNER TO CURRENT_USER", "GRANT CREATE ON SCHEMA public TO {o}"),
    ],
)
def test_migrate_says_why_no_table_can_be_created(owner: str, statement: str, message: str) -> None:
    settings = create_owned_database(owner, "public")
    with superuser() as maintenance:
        maintenance.execute(statement.format(o=owner))
    with override_connection(**settings):
        done = Manage()("migrate")
    assert done.returncode == 1
    assert done.stderr.startswith("No table can be created: ")
    assert message.format(o=owner) in done.stderr
