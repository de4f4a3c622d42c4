"""A restore replaces the live database completely, or changes nothing."""

import secrets
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from psycopg import sql as composed

from ops.backups import manifest
from ops.backups.dump import create_backup
from ops.backups.errors import CorruptBackup, DatabaseInUse, MaintenanceFailed
from ops.backups.properties import DatabaseProperties, read_database_properties, redact_custom_settings
from ops.backups.restore import RestoreResult, restore_backup
from ops.backups.scratch import (
    drop_database,
    drop_orphaned_databases,
    temporary_database,
    truncate_database_name,
    utc_timestamp,
)
from ops.backups.server import Server
from ops.backups.swap import drop_replaced_databases, refuse_active_runs, swap
from ops.models import Run
from ops.report.backups import format_restore
from ops.states import State
from tests.ops.conftest import RegisterOperation
from tests.ops.running import create_run, create_things, make_operation, override_connection
from tests.trials.models import Thing

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

_LIVE = """
CREATE TABLE ops_run (id int, operation text, state text);
CREATE TABLE played (id int);
INSERT INTO played SELECT generate_series(1, 5)
"""


@pytest.fixture
def server() -> Iterator[Server]:
    """A small live database, which the test's backup replaces."""
    server = Server(connection.get_connection_params(), f"live_{secrets.token_hex(4)}")
    database = composed.Identifier(server.database)
    with server.connect_for_maintenance() as maintenance:
        maintenance.execute(composed.SQL("CREATE DATABASE {}").format(database))
        maintenance.execute(
            composed.SQL('ALTER DATABASE {} SET search_path TO "$user", public').format(database)
        )
        maintenance.execute(composed.SQL("ALTER DATABASE {} CONNECTION LIMIT 50").format(database))
        maintenance.execute(composed.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(database))
    with server.connect(server.database) as live:
        live.execute(_LIVE)
    yield server
    with server.connect_for_maintenance() as maintenance:
        for name in database_names(server):
            maintenance.execute(
                composed.SQL("DROP DATABASE {} WITH (FORCE)").format(composed.Identifier(name))
            )


def database_names(server: Server) -> list[str]:
    """List the databases whose name begins with that of the live one."""
    with server.connect_for_maintenance() as maintenance:
        rows = maintenance.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s) ORDER BY 1", [server.database]
        )
        return [name for (name,) in rows]


def query(server: Server, statement: str, *params: object, database: str | None = None) -> list[tuple]:
    with server.connect(database or server.database) as live:
        return live.execute(statement, params).fetchall()


def restore(file: Path, server: Server) -> RestoreResult:
    return restore_backup(file, server, lambda status: None)


def read_catalog_row(server: Server) -> list[tuple]:
    """Read what CREATE DATABASE and ALTER DATABASE have set."""
    return query(
        server,
        "SELECT datconnlimit, ARRAY(SELECT unnest(datacl)::text ORDER BY 1), encoding, datcollate, datdba,"
        " setconfig FROM pg_database d"
        " LEFT JOIN pg_db_role_setting ON setdatabase = d.oid WHERE datname = %s",
        server.database,
    )


def test_a_restore_replaces_the_live_database_and_ends_its_sessions(tmp_path: Path, server: Server) -> None:
    create_things(3)
    run = create_run(make_operation(Thing.objects.filter(note=None), {"note": "x"}))
    cancelling = create_run(make_operation(Thing.objects.filter(name="t1"), {"name": "x"}))
    Run.objects.update(state=State.RUNNING)
    Run.objects.filter(pk=cancelling.pk).update(state=State.CANCELLING)
    backup = create_backup(tmp_path / "a.dump")
    before = read_catalog_row(server)
    with server.connect(server.database) as player:
        result = restore(backup.file, server)
        with pytest.raises(psycopg.OperationalError):
            player.execute("SELECT 1")
    assert (result.paused, result.cancelled, result.unapplied_count) == ([run.pk], [cancelling.pk], 0)
    assert query(server, "SELECT count(*) FROM trials_thing") == [(3,)]
    states = query(server, "SELECT state, finished_at IS NOT NULL FROM ops_run ORDER BY id")
    assert states == [("paused", False), ("cancelled", True)]
    assert query(server, 'SELECT run_id, "column" FROM ops_claim') == [(run.pk, "note")]
    assert query(server, "SELECT sha256, verified_at IS NOT NULL FROM ops_backup") == [(backup.sha256, True)]
    assert read_catalog_row(server) == before
    assert database_names(server) == sorted([server.database, result.previous_database or ""])
    assert query(server, "SELECT count(*) FROM played", database=result.previous_database) == [(5,)]
    assert drop_replaced_databases(server) == [result.previous_database]
    assert database_names(server) == [server.database]


def read_properties(server: Server) -> DatabaseProperties:
    """Read owner, locale, settings, comment and grants."""
    with server.connect_for_maintenance() as maintenance:
        properties = read_database_properties(server.database, maintenance.cursor())
    assert properties
    return properties


@pytest.fixture
def customized(server: Server) -> Iterator[Server]:
    """A live database in which every property is set."""
    name, role = server.database, f"r{server.database}"
    with server.connect_for_maintenance() as maintenance:
        maintenance.execute(
            f"CREATE ROLE {role};"
            f"ALTER ROLE {role} IN DATABASE {name} SET statement_timeout = '77s';"
            f"ALTER ROLE {role} IN DATABASE {name} SET role = '{role}';"
            f"ALTER DATABASE {name} SET search_path = 'a \"b', game, public;"
            f"ALTER DATABASE {name} SET temp_tablespaces = '';"
            f"ALTER DATABASE {name} SET lock_timeout = '1ms';"
            f"ALTER DATABASE {name} SET DateStyle = 'ISO, DMY';"
            f"ALTER DATABASE {name} SET app.\"Secret\" = 'it''s';"
            f"GRANT CREATE ON DATABASE {name} TO {role} WITH GRANT OPTION;"
            f"COMMENT ON DATABASE {name} IS 'the game''s';"
            f"ALTER DATABASE {name} OWNER TO {role}"
        )
    yield server
    with server.connect_for_maintenance() as maintenance:
        for name in database_names(server):
            maintenance.execute(f'DROP DATABASE "{name}"')
        maintenance.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_the_properties_of_the_live_database_survive_a_restore(customized: Server) -> None:
    before = read_properties(customized)
    with temporary_database(customized, "restore") as new:
        assert swap(customized, new)[1] == []
    assert read_properties(customized) == before


def test_properties_of_a_lost_database_come_from_the_manifest(tmp_path: Path, customized: Server) -> None:
    create_things(1)
    backup, before = create_backup(tmp_path / "a.dump"), read_properties(customized)
    backup.properties = {**redact_custom_settings(before), "search_path": "public"}
    manifest.write_manifest(backup)
    assert "it's" not in manifest.manifest_path(backup.file).read_text()
    with customized.connect_for_maintenance() as maintenance:
        maintenance.execute(f"DROP DATABASE {customized.database}")
    result = restore(backup.file, customized)
    before["settings"] = [setting for setting in before["settings"] if setting[1] != "app.Secret"]
    assert read_properties(customized) == before
    assert result.refused_statements == [f'ALTER DATABASE "{customized.database}" SET "app"."Secret" TO ...']
    assert f"  {result.refused_statements[0]};" in format_restore(result, drop_old=False)


def test_a_backup_outside_the_search_path_changes_nothing(tmp_path: Path, server: Server) -> None:
    backup = create_backup(tmp_path / "a.dump")
    with server.connect_for_maintenance() as maintenance:
        maintenance.execute(f"ALTER DATABASE {server.database} SET search_path = game")
    message = (
        r"in the schema public, which is not in the search_path of sessions \(game\)\. To set it:"
        f' ALTER DATABASE "{server.database}" SET search_path TO'
    )
    with pytest.raises(MaintenanceFailed, match=message):
        restore(backup.file, server)
    assert database_names(server) == [server.database]


def test_a_lost_database_is_restored_too(tmp_path: Path, server: Server) -> None:
    create_things(3)
    backup = create_backup(tmp_path / "a.sql.gz")
    with server.connect_for_maintenance() as maintenance:
        maintenance.execute(composed.SQL("DROP DATABASE {}").format(composed.Identifier(server.database)))
    assert restore(backup.file, server).previous_database is None
    assert query(server, "SELECT count(*) FROM trials_thing") == [(3,)]


def test_active_runs_prevent_a_restore(server: Server) -> None:
    with temporary_database(server, "restore") as new:
        for state in (State.QUEUED, State.RUNNING, State.PAUSING, State.CANCELLING):
            verb = "pause" if state in (State.RUNNING, State.PAUSING) else "cancel"
            with server.connect(server.database) as live:
                live.execute("DELETE FROM ops_run")
                live.execute("INSERT INTO ops_run VALUES (7, 'promote', %s)", [state])
            with pytest.raises(
                DatabaseInUse, match=rf"run 7 \(promote\) is {state.label}: manage.py runs {verb} 7"
            ):
                refuse_active_runs(server)
            with pytest.raises(DatabaseInUse):
                swap(server, new)
    assert database_names(server) == [server.database]


def test_a_queued_automatic_run_does_not_prevent_a_restore(
    server: Server, declare: RegisterOperation
) -> None:
    declare(
        make_operation(Thing.objects.filter(note=None), {"note": "x"}, name="promote", depends_on=["score"])
    )
    with server.connect(server.database) as live:
        live.execute("INSERT INTO ops_run VALUES (7, 'promote', 'queued')")
        refuse_active_runs(server)
        live.execute("UPDATE ops_run SET state = 'running'")
    with pytest.raises(DatabaseInUse, match=r"run 7 \(promote\) is running: manage\.py runs pause 7"):
        refuse_active_runs(server)


def test_a_backup_with_missing_rows_changes_nothing(tmp_path: Path, server: Server) -> None:
    create_things(3)
    backup = create_backup(tmp_path / "a.dump")
    backup.counts["public.trials_thing"] = 4
    manifest.write_manifest(backup)
    with pytest.raises(CorruptBackup, match=r"public\.trials_thing: 3 rows instead of 4 rows"):
        restore(backup.file, server)
    assert database_names(server) == [server.database]
    assert query(server, "SELECT count(*) FROM played") == [(5,)]


def test_orphaned_scratch_databases_are_dropped_and_used_ones_are_not(server: Server) -> None:
    orphan = f"{server.database}_restore_20240128_143000_00aa"
    with server.connect_for_maintenance() as maintenance:
        maintenance.execute(composed.SQL("CREATE DATABASE {}").format(composed.Identifier(orphan)))
    with temporary_database(server, "verify") as used:
        drop_orphaned_databases(server)
        assert database_names(server) == sorted([server.database, used])
    assert database_names(server) == [server.database]


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("a.{}", "a-{}"),  # in a pattern the dot would match any character
        ("{}" + "x" * 54 + "1", "{}" + "x" * 54 + "2"),  # as long as a name may be
    ],
)
def test_only_databases_replaced_by_restores_of_this_one_are_dropped(name: str, other: str) -> None:
    token = secrets.token_hex(4)
    server = Server(connection.get_connection_params(), name.format(token))
    replaced = [
        f"{truncate_database_name(base.format(token))}_before_{utc_timestamp()}" for base in (name, other)
    ]
    with server.connect_for_maintenance() as maintenance:
        try:
            for database in replaced:
                maintenance.execute(composed.SQL("CREATE DATABASE {}").format(composed.Identifier(database)))
            assert drop_replaced_databases(server) == replaced[:1]
        finally:
            for database in replaced:
                drop_database(maintenance, database)


def test_the_name_of_a_scratch_database_fits_if_the_live_one_is_long() -> None:
    server = Server(connection.get_connection_params(), secrets.token_hex(31) + "x")
    with temporary_database(server, "rehearsal") as name, server.connect_for_maintenance() as maintenance:
        assert (name,) in maintenance.execute("SELECT datname FROM pg_database").fetchall()
    assert database_names(server) == []


@pytest.mark.parametrize("arguments", [[], ["--confirm", "kynd"]])
def test_a_restore_must_be_confirmed_by_the_name_of_the_database(
    tmp_path: Path, arguments: list[str]
) -> None:
    file, name = tmp_path / "a.dump", connection.settings_dict["NAME"]
    file.touch()
    with pytest.raises(
        CommandError, match=rf"To do it: manage\.py restore_db {file} --confirm {name}"
    ) as caught:
        call_command("restore_db", str(file), *arguments)
    assert caught.value.returncode == 2


@pytest.mark.parametrize("options", [[], ["--drop-old"], ["--confirm", "kynd"]])
def test_a_restore_checks_that_the_file_exists_first(tmp_path: Path, options: list[str]) -> None:
    file = tmp_path / "nofile.dump"
    message = rf"There is no file {file}\. To list the backups: manage\.py backups$"
    with pytest.raises(CommandError, match=message) as caught:
        call_command("restore_db", str(file), *options)
    assert caught.value.returncode == 2


def test_drop_old_names_what_it_would_drop(server: Server, tmp_path: Path) -> None:
    def drop_old(*arguments: str) -> str:
        with override_connection(NAME=server.database):
            call_command("restore_db", "--drop-old", *arguments, stdout=(out := StringIO()))
        return out.getvalue()

    file = tmp_path / "a.dump"
    file.touch()
    assert drop_old() == "There is no old database to drop.\n"
    with pytest.raises(CommandError, match=rf"with {file}, and drop the replaced database\. To do it"):
        drop_old(str(file))
    old = f"{server.database}_before_{utc_timestamp()}"
    with server.connect_for_maintenance() as maintenance:
        maintenance.execute(composed.SQL("CREATE DATABASE {}").format(composed.Identifier(old)))
    with pytest.raises(
        CommandError, match=rf"This would drop {old} on .*--drop-old --confirm {server.database}$"
    ):
        drop_old()
    with pytest.raises(CommandError, match=rf"and drop the replaced database and {old}\. To do it"):
        drop_old(str(file))
    assert drop_old("--confirm", server.database) == f"Dropped {old}.\n"
