"""Backups, restores and rehearsals as a role that only owns its database, its tables in whatever schema."""

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

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

PASSWORD = "of the owner"
# How sessions come to look into the schema ``game``.
WAYS = {
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
    """A role that may log in and make databases, and nothing else."""
    role = f"owner_{secrets.token_hex(4)}"
    with superuser() as maintenance:
        maintenance.execute(f"CREATE ROLE {role} LOGIN CREATEDB PASSWORD '{PASSWORD}'")
        yield role
        owned = (
            "SELECT datname FROM pg_database WHERE pg_get_userbyid(datdba) = %s OR starts_with(datname, %s)"
        )
        for (name,) in maintenance.execute(owned, [role, role]).fetchall():
            maintenance.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        maintenance.execute(f"DROP ROLE {role}")


def settled(owner: str, way: str) -> dict[str, Any]:
    """How Django connects to a database of the owner's whose tables are to be in a schema found that way."""
    schema = {"public": "public", "user": owner}.get(way, "game")
    with superuser() as maintenance:
        maintenance.execute(f"CREATE DATABASE {owner} OWNER {owner}")
        for statement in WAYS[way]:
            maintenance.execute(statement.format(d=owner, r=owner))
    options = {"options": "-c search_path=game"} if way == "options" else {}
    mine = {**connection.settings_dict["OPTIONS"], **options}
    settings = {"NAME": owner, "USER": owner, "PASSWORD": PASSWORD, "OPTIONS": mine}
    with override_connection(**settings):
        execute_sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        assert execute_sql("SELECT current_schema()") == [(schema,)]
    return settings


def migrated(owner: str, way: str) -> dict[str, Any]:
    settings = settled(owner, way)
    with override_connection(**settings):
        done = Manage().process(
            "migrate", "-v0", "--run-syncdb", "--skip-checks", env={"DATABASE_URL": _url(settings)}
        )
        assert (done.returncode, done.stderr) == (0, "")
    return settings


def _url(settings: dict[str, Any]) -> str:
    ours = connection.settings_dict
    place = f"{settings['USER']}:{quote(PASSWORD)}@{ours['HOST']}:{ours['PORT']}/{settings['NAME']}"
    options = settings["OPTIONS"].get("options", "")
    return f"postgres://{place}?{urlencode({'options': options} if options else {}, quote_via=quote)}"


def lines(told: str) -> dict[str, dict[str, Any]]:
    return {line["name"]: line for line in json.loads(told)["lines"]}


@pytest.mark.long
@pytest.mark.parametrize("way", ["public", "database", "both"])
def test_createdb_is_enough_wherever_the_tables_are(
    tmp_path: Path, settings: Any, owner: str, way: str
) -> None:
    settings.BACKUP_DIR = tmp_path
    file = tmp_path / ("a.sql" if way == "both" else "a.dump")
    live, extended, extension = migrated(owner, way), way != "public", ""
    if extended:  # as pg_stat_statements is, which no owner may make himself
        with Server(connection.get_connection_params()).connect(owner) as superuser_there:
            there = "SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"
            extension = "vector" if superuser_there.execute(there).fetchone() else "pg_stat_statements"
            superuser_there.execute(f"CREATE EXTENSION {extension}")
    with override_connection(**live):
        create_run(make_operation(Thing.objects.filter(note=None), {"note": "x"}))
        manage = Manage()
        done = manage("backup_db", file, "--verify")
        assert (done.returncode, done.stderr) == (0, "")
        found = lines(manage("preflight", "--rehearse", "--json").stdout)
        lights = [found[name]["light"] for name in ("backup", "drift", "rehearsal")]
        assert lights == ["green", "yellow" if extended else "green", "green"]
        assert found["drift"]["details"] == [f"unexpected: extension {extension}"] * extended
        steps = [step.rpartition(" in ")[0] for step in found["rehearsal"]["details"]]
        assert steps == [f"restored {file.name}", "ran the checks"]
        Run.objects.update(state=State.PAUSED)
        before = execute_sql("SELECT current_schema(), current_setting('search_path')")
        done = manage("restore_db", file, "--confirm", connection.settings_dict["NAME"])
        assert (done.returncode, done.stderr) == (0, "")
        connection.close()
        assert "These runs were active in the backup, and are now paused." in done.stdout
        assert (f'  CREATE EXTENSION "{extension}";' in done.stdout.splitlines()) == extended
        assert ("What it has not" in done.stdout) == extended
        assert execute_sql("SELECT current_schema(), current_setting('search_path')") == before
        assert execute_sql("SELECT state FROM ops_run") == [(State.PAUSED,)]


@pytest.mark.parametrize("way", WAYS)
def test_a_scratch_database_is_looked_into_as_the_live_one_is(owner: str, way: str) -> None:
    with override_connection(**settled(owner, way)):
        server, [(schema,)] = Server.default(), execute_sql("SELECT current_schema()")
        with (
            temporary_database(server, "drift") as name,
            temporary_alias(name, server.read_search_path()) as alias,
            connections[alias].cursor() as cursor,
        ):
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            cursor.execute("SELECT current_schema()")
            assert cursor.fetchone() == (schema,)


def test_a_role_that_may_make_no_database_is_told_so_in_a_line(owner: str) -> None:
    settings = settled(owner, "public")
    with superuser() as maintenance:
        maintenance.execute(f"ALTER ROLE {owner} NOCREATEDB")
    with override_connection(**settings):
        done = Manage()("schema_drift")
    assert (done.returncode, done.stderr) == (
        1,
        f"CommandError: The role {owner} may not create databases, which this command needs."
        f" As a superuser: ALTER ROLE {owner} CREATEDB\n",
    )


def test_who_may_not_replace_a_database_is_told_so_before_anything_is_restored(owner: str) -> None:
    settled(owner, "public")
    params = connection.get_connection_params()
    with superuser() as maintenance:
        maintenance.execute(f"CREATE DATABASE {owner}_not OWNER {params['user']}")
    theirs = Server({**params, "user": owner, "password": PASSWORD}, f"{owner}_not")
    words = f"{owner}_not is owned by {params['user']}, so {owner} may not replace it. As a superuser: GRANT"
    with pytest.raises(MaintenanceFailed, match=words):
        has_live_database(theirs)


def test_what_our_role_may_not_restore_of_a_database_is_told_to_be_typed(owner: str) -> None:
    settled(owner, "public")
    given = [
        f"ALTER DATABASE {owner} SET log_min_duration_statement TO '100'",
        f"ALTER ROLE {owner}_x IN DATABASE {owner} SET work_mem TO '8MB'",
        f"ALTER DATABASE {owner} SET TABLESPACE {owner}",
    ]
    with superuser() as maintenance:
        maintenance.execute("SET allow_in_place_tablespaces = on")
        maintenance.execute(f"CREATE TABLESPACE {owner} LOCATION ''")
        maintenance.execute(f"CREATE ROLE {owner}_x")
        try:
            for statement in given:
                maintenance.execute(statement)
            params = {**connection.get_connection_params(), "user": owner, "password": PASSWORD}
            live = Server(params, owner)
            with temporary_database(live, "restore") as new:
                old, refused = swap(live, new)
            maintenance.execute(f"DROP DATABASE {old}")
            assert [statement.replace('"', "") for statement in refused] == given
            for statement in refused:  # as somebody who may
                maintenance.execute(statement)
            maintenance.execute(f"DROP DATABASE {owner}")
        finally:
            maintenance.execute(f"DROP TABLESPACE {owner}")
            maintenance.execute(f"DROP ROLE {owner}_x")


def test_without_the_schema_public_migrate_says_what_is_missing(owner: str) -> None:
    settings = settled(owner, "database")
    with override_connection(**settings):
        execute_sql("DROP SCHEMA public")
        done = Manage().process("migrate", "-v0", "--skip-checks", env={"DATABASE_URL": _url(settings)})
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        1,
        'A schema is missing: schema "public" does not exist',
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            "ALTER DATABASE {o} SET search_path = nowhere",
            "The search_path of sessions is nowhere, and no such",
        ),
        ("ALTER DATABASE {o} OWNER TO CURRENT_USER", "GRANT CREATE ON SCHEMA public TO {o}"),
    ],
)
def test_where_no_table_can_be_made_migrate_says_why(owner: str, given: str, words: str) -> None:
    settings = settled(owner, "public")
    with superuser() as maintenance:
        maintenance.execute(given.format(o=owner))
    with override_connection(**settings):
        done = Manage()("migrate")
    assert done.returncode == 1
    assert done.stderr.startswith("No table can be created: ")
    assert words.format(o=owner) in done.stderr
