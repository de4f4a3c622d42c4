"""A restore takes the place of the live database whole, or changes nothing."""

import secrets
from collections.abc import Iterator
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
from tests.ops.running import create_run, create_things, make_operation
from tests.trials.models import Thing

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

_LIVE = """
CREATE TABLE ops_run (id int, operation text, state text);
CREATE TABLE played (id int);
INSERT INTO played SELECT generate_series(1, 5)
"""


@pytest.fixture
def server() -> Iterator[Server]:
    """A live database of its own, as small as may be, which the test's backup is restored over."""
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
        for name in names(server):
            maintenance.execute(
                composed.SQL("DROP DATABASE {} WITH (FORCE)").format(composed.Identifier(name))
            )


def names(server: Server) -> list[str]:
    """All databases that have to do with the live one."""
    with server.connect_for_maintenance() as maintenance:
        found = maintenance.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s) ORDER BY 1", [server.database]
        )
        return [name for (name,) in found]


def ask(server: Server, statement: str, *params: object, database: str | None = None) -> list[tuple]:
    with server.connect(database or server.database) as live:
        return live.execute(statement, params).fetchall()


def restored(file: Path, server: Server) -> RestoreResult:
    return restore_backup(file, server, lambda told: None)


def facts(server: Server) -> list[tuple]:
    """What CREATE DATABASE and ALTER DATABASE say of it."""
    return ask(
        server,
        "SELECT datconnlimit, ARRAY(SELECT unnest(datacl)::text ORDER BY 1), encoding, datcollate, datdba,"
        " setconfig FROM pg_database d"
        " LEFT JOIN pg_db_role_setting ON setdatabase = d.oid WHERE datname = %s",
        server.database,
    )


def test_the_restored_database_takes_the_place_of_the_live_one_with_nobody_inside(
    tmp_path: Path, server: Server
) -> None:
    create_things(3)
    run = create_run(make_operation(Thing.objects.filter(note=None), {"note": "x"}))
    given_up = create_run(make_operation(Thing.objects.filter(name="t1"), {"name": "x"}))
    Run.objects.update(state=State.RUNNING)
    Run.objects.filter(pk=given_up.pk).update(state=State.CANCELLING)
    kept = create_backup(tmp_path / "a.dump")
    before = facts(server)
    with server.connect(server.database) as player:
        done = restored(kept.file, server)
        with pytest.raises(psycopg.OperationalError):
            player.execute("SELECT 1")
    assert (done.paused, done.cancelled, done.unapplied_count) == ([run.pk], [given_up.pk], 0)
    assert ask(server, "SELECT count(*) FROM trials_thing") == [(3,)]
    found = ask(server, "SELECT state, finished_at IS NOT NULL FROM ops_run ORDER BY id")
    assert found == [("paused", False), ("cancelled", True)]
    assert ask(server, 'SELECT run_id, "column" FROM ops_claim') == [(run.pk, "note")]
    assert ask(server, "SELECT sha256, verified_at IS NOT NULL FROM ops_backup") == [(kept.sha256, True)]
    assert facts(server) == before
    assert names(server) == sorted([server.database, done.previous_database or ""])
    assert ask(server, "SELECT count(*) FROM played", database=done.previous_database) == [(5,)]
    assert drop_replaced_databases(server) == [done.previous_database]
    assert names(server) == [server.database]


def own(server: Server) -> DatabaseProperties:
    """Owner, locale, settings, comment, grants."""
    with server.connect_for_maintenance() as maintenance:
        found = read_database_properties(server.database, maintenance.cursor())
    assert found
    return found


@pytest.fixture
def dressed(server: Server) -> Iterator[Server]:
    """A live database that has everything of its own that one can have."""
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
        for found in names(server):
            maintenance.execute(f'DROP DATABASE "{found}"')
        maintenance.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_what_the_live_database_has_of_its_own_it_has_after_a_restore(dressed: Server) -> None:
    before = own(dressed)
    with temporary_database(dressed, "restore") as new:
        assert swap(dressed, new)[1] == []
    assert own(dressed) == before


def test_what_a_database_had_that_is_gone_comes_from_the_record_but_for_secrets(
    tmp_path: Path, dressed: Server
) -> None:
    create_things(1)
    kept, before = create_backup(tmp_path / "a.dump"), own(dressed)
    kept.properties = {**redact_custom_settings(before), "search_path": "public"}
    manifest.write_manifest(kept)
    assert "it's" not in manifest.manifest_path(kept.file).read_text()
    with dressed.connect_for_maintenance() as maintenance:
        maintenance.execute(f"DROP DATABASE {dressed.database}")
    done = restored(kept.file, dressed)
    before["settings"] = [told for told in before["settings"] if told[1] != "app.Secret"]
    assert own(dressed) == before
    assert done.refused_statements == [f'ALTER DATABASE "{dressed.database}" SET "app"."Secret" TO ...']
    assert f"  {done.refused_statements[0]};" in format_restore(done, drop_old=False)


def test_a_backup_whose_tables_nobody_would_find_changes_nothing(tmp_path: Path, server: Server) -> None:
    kept = create_backup(tmp_path / "a.dump")
    with server.connect_for_maintenance() as maintenance:
        maintenance.execute(f"ALTER DATABASE {server.database} SET search_path = game")
    words = (
        f'in the schema public, .* look into game. .* ALTER DATABASE "{server.database}" SET search_path TO'
    )
    with pytest.raises(MaintenanceFailed, match=words):
        restored(kept.file, server)
    assert names(server) == [server.database]


def test_a_database_that_is_gone_is_restored_too(tmp_path: Path, server: Server) -> None:
    create_things(3)
    kept = create_backup(tmp_path / "a.sql.gz")
    with server.connect_for_maintenance() as maintenance:
        maintenance.execute(composed.SQL("DROP DATABASE {}").format(composed.Identifier(server.database)))
    assert restored(kept.file, server).previous_database is None
    assert ask(server, "SELECT count(*) FROM trials_thing") == [(3,)]


def test_active_runs_refuse_the_restore(server: Server) -> None:
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
    assert names(server) == [server.database]


def test_a_run_that_waits_since_it_begins_by_itself_refuses_no_restore(
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


def test_a_backup_without_all_its_rows_changes_nothing(tmp_path: Path, server: Server) -> None:
    create_things(3)
    kept = create_backup(tmp_path / "a.dump")
    kept.counts["public.trials_thing"] = 4
    manifest.write_manifest(kept)
    with pytest.raises(CorruptBackup, match=r"public\.trials_thing: 3 rows instead of 4 rows"):
        restored(kept.file, server)
    assert names(server) == [server.database]
    assert ask(server, "SELECT count(*) FROM played") == [(5,)]


def test_what_killed_restores_left_is_dropped_and_what_is_in_use_is_not(server: Server) -> None:
    left = f"{server.database}_restore_20240128_143000_00aa"
    with server.connect_for_maintenance() as maintenance:
        maintenance.execute(composed.SQL("CREATE DATABASE {}").format(composed.Identifier(left)))
    with temporary_database(server, "verify") as used:
        drop_orphaned_databases(server)
        assert names(server) == sorted([server.database, used])
    assert names(server) == [server.database]


@pytest.mark.parametrize(
    ("mine", "other"),
    [
        ("a.{}", "a-{}"),  # in a pattern the point would stand for any character
        ("{}" + "x" * 54 + "1", "{}" + "x" * 54 + "2"),  # as long as a name may be
    ],
)
def test_only_what_restores_of_this_database_have_kept_is_dropped(mine: str, other: str) -> None:
    word = secrets.token_hex(4)
    server = Server(connection.get_connection_params(), mine.format(word))
    kept = [f"{truncate_database_name(name.format(word))}_before_{utc_timestamp()}" for name in (mine, other)]
    with server.connect_for_maintenance() as maintenance:
        try:
            for name in kept:
                maintenance.execute(composed.SQL("CREATE DATABASE {}").format(composed.Identifier(name)))
            assert drop_replaced_databases(server) == kept[:1]
        finally:
            for name in kept:
                drop_database(maintenance, name)


def test_a_scratch_database_has_the_whole_of_its_name_however_long_that_of_the_live_one_is() -> None:
    server = Server(connection.get_connection_params(), secrets.token_hex(31) + "x")
    with temporary_database(server, "rehearsal") as name, server.connect_for_maintenance() as maintenance:
        assert (name,) in maintenance.execute("SELECT datname FROM pg_database").fetchall()
    assert names(server) == []


@pytest.mark.parametrize("typed", [[], ["--confirm", "kynd"]])
def test_a_restore_must_be_confirmed_by_the_name_of_the_database(tmp_path: Path, typed: list[str]) -> None:
    file, name = tmp_path / "a.dump", connection.settings_dict["NAME"]
    with pytest.raises(
        CommandError, match=rf"To do it: manage\.py restore_db {file} --confirm {name}"
    ) as caught:
        call_command("restore_db", str(file), *typed)
    assert caught.value.returncode == 2
