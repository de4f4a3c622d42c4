"""A pooler in transaction mode: its server connections stay clean; some commands need a session."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from django.test import Client

from ops.backups.scratch import drop_orphaned_databases, list_owned_databases, temporary_database
from ops.backups.server import Server
from ops.migrate.session_settings import MigrationBlocked
from ops.migrate.timeouts import MigrationSession
from ops.models import Run
from ops.operations import registry
from ops.runs.backup_policy import find_newest_verified_backup
from ops.session import SessionRequired, direct_connection, libpq_parameters, require_session
from tests.conftest import Manage
from tests.ops.conftest import RegisterOperation
from tests.ops.running import create_run, create_things, execute_run, execute_sql, make_operation, player
from tests.pgbouncer import DATABASE_ALIAS, PgBouncer, require_pgbouncer
from tests.trials.models import Thing

pytestmark = pytest.mark.django_db(transaction=True)

# PgBouncer itself sets these for each client, on whichever server connection it uses.
TRACKED = ("application_name", "client_encoding", "DateStyle", "TimeZone", "standard_conforming_strings")
SESSION_STATE_SQL = f"""
SELECT 'setting ' || name FROM pg_settings
    WHERE source = 'session' AND setting IS DISTINCT FROM reset_val AND name NOT IN {TRACKED}
UNION ALL SELECT 'advisory lock' FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()
UNION ALL SELECT 'statement ' || name FROM pg_prepared_statements
UNION ALL SELECT 'cursor ' || name FROM pg_cursors WHERE name <> ''
UNION ALL SELECT 'table ' || relname FROM pg_class WHERE relpersistence = 't' AND relkind = 'r'
UNION ALL SELECT 'listens to ' || channel FROM pg_listening_channels() AS channel
UNION ALL SELECT 'role ' || current_user WHERE current_user <> session_user
"""


@pytest.fixture
def pooler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PgBouncer]:
    """A pooler with one server connection, which all clients share."""
    require_pgbouncer()
    pooler = PgBouncer(tmp_path_factory.mktemp("pooler"), size=1)
    pooler.start()
    yield pooler
    pooler.remove()


def session_state(pooler: PgBouncer) -> list[str]:
    """Return what the server connection has kept, which the next client would get."""
    with pooler.client() as other:
        return [name for (name,) in other.execute(SESSION_STATE_SQL).fetchall()]


def test_healthz_leaves_no_timeout_behind(pooler: PgBouncer, client: Client) -> None:
    with pooler.connect_django():
        assert client.get("/healthz").status_code == 200
    with pooler.client() as other:
        assert other.execute("SHOW statement_timeout").fetchone() == ("0",)
    assert session_state(pooler) == []


COMMANDS = [
    "migrate --skip-checks",
    "runs",
    "backfill_rarity_v2",
    "backfill_rarity_v2 --execute",
    "bulk_promote --from common --to rare",
    "bulk_promote --from common --to rare --execute --lanes 2",
    "verify_rarity_v2",
    "db_stats",
    "queue_stats",
    "migration_log",
    "exports",
    "backups",
    "preflight",
    "export_json --output {tmp}/export",
    "verify_export {tmp}/export",
]


def test_commands_work_and_leave_nothing_in_the_session(
    pooler: PgBouncer, manage: Manage, tmp_path: Path
) -> None:
    manage("load_rules", "--execute")
    manage("generate_cards", 30)
    with pooler.connect_django():
        for command in COMMANDS:
            done = manage(*command.format(tmp=tmp_path).split())
            assert "Traceback" not in done.stderr, done.stderr
            assert done.returncode == 0 or command == "preflight", (command, done.stdout, done.stderr)
            assert session_state(pooler) == [], command
        last = Run.objects.latest("pk")
        assert manage("runs", "revert", last.pk, "--execute").returncode == 0
        assert manage("runs", "show", last.pk).returncode == 0
    assert session_state(pooler) == []


def test_a_migration_behind_a_pooler_gives_up_a_lock_in_time(pooler: PgBouncer) -> None:
    def alter() -> None:
        with transaction.atomic():
            execute_sql("SAVEPOINT s; SELECT 1; ROLLBACK TO s")
            execute_sql("ALTER TABLE trials_thing ALTER COLUMN note DROP NOT NULL")

    with player() as other, pooler.connect_django():
        other.execute("SELECT FROM trials_thing")
        session = MigrationSession(
            connection,
            retry_for=timedelta(),
            report=print,
            lock_timeout=timedelta(milliseconds=10),
            has_session=False,
        )
        with pytest.raises(MigrationBlocked, match="Other sessions held a lock"):
            session.migrate(alter)
    assert session_state(pooler) == []


PAGES = [
    "/admin/",
    "/admin/cards/card/",
    "/admin/cards/card/add/",
    "/admin/auth/user/add/",
    "/admin/auth/group/add/",  # a list of choices, which Django reads by a server-side cursor
    "/admin/ops/run/",
    "/admin/ops/auditlog/",
    "/admin/ops/export/",
    "/metrics",
]


def test_pages_work_and_leave_nothing_in_the_session(
    pooler: PgBouncer, admin_client: Client, settings: Any
) -> None:
    settings.ADMIN_KEY = "key"
    with pooler.connect_django():
        for page in PAGES:
            assert admin_client.get(page, headers={"x-admin-key": "key"}).status_code == 200, page
            assert session_state(pooler) == [], page


def test_two_processes_share_a_run_behind_a_pooler(
    tmp_path_factory: pytest.TempPathFactory, declare: RegisterOperation
) -> None:
    require_pgbouncer()
    pooler = PgBouncer(tmp_path_factory.mktemp("pooler"), size=3)
    pooler.start()
    create_things(2_000)
    declare(make_operation(Thing.objects.filter(score__lt=7), {"score": 7}))
    run = create_run(registry.get_operation("trial"), lanes=2, batch_size=50)

    def join() -> None:
        with pooler.connect_django():
            execute_run(Run.objects.get(pk=run.pk))

    try:
        workers = [Thread(target=join) for _ in range(2)]
        [worker.start() for worker in workers]
        [worker.join() for worker in workers]
    finally:
        pooler.remove()
    assert Run.objects.get(pk=run.pk).state == "succeeded"
    assert not Thing.objects.exclude(score=7).exists()
    assert execute_sql("SELECT count(*), count(DISTINCT object_id) FROM audit_logs") == [(2000, 2000)]


NEED_SESSION = [
    "backup_db {tmp}/new.dump --verify",
    "schema_drift",
    "load_rules",
    "load_rules --execute",
    "generate_cards 5",
    "restore_db --drop-old --confirm {name}",
]


@pytest.mark.parametrize("command", NEED_SESSION)
def test_commands_that_need_a_session_print_two_lines(
    pooler: PgBouncer, manage: Manage, tmp_path: Path, command: str
) -> None:
    name = connection.settings_dict["NAME"]
    with pooler.connect_django():
        done = manage(*command.format(tmp=tmp_path, name=name).split())
    first, second = done.stderr.splitlines()
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
    assert "needs a session of its own, but DATABASE_URL points to a pooler" in first
    assert second == "Set DIRECT_DATABASE_URL to the PostgreSQL server itself: docs/poolers.md"
    assert session_state(pooler) == []


@pytest.mark.parametrize("command", NEED_SESSION)
def test_commands_that_need_a_session_use_the_direct_url(
    pooler: PgBouncer, manage: Manage, tmp_path: Path, settings: Any, command: str
) -> None:
    settings.DIRECT_DATABASE = connection.settings_dict.copy()
    name = connection.settings_dict["NAME"]
    with pooler.connect_django():
        done = manage(*command.format(tmp=tmp_path, name=name).split())
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert session_state(pooler) == []


def test_a_scratch_database_in_use_is_not_dropped(pooler: PgBouncer, settings: Any) -> None:
    settings.DIRECT_DATABASE = connection.settings_dict.copy()
    with pooler.connect_django(), direct_connection():
        server = Server.default()
        with temporary_database(server, "verify") as name:
            assert drop_orphaned_databases(server) == []
            with server.connect_for_maintenance() as other:
                assert name in list_owned_databases(other, ".*")


def test_preflight_says_what_it_cannot_check_behind_a_pooler(pooler: PgBouncer, manage: Manage) -> None:
    with pooler.connect_django():
        done = manage("preflight", "--rehearse")
    assert "Traceback" not in done.stderr
    assert "DATABASE_URL points to a pooler" in done.stdout
    assert "Set DIRECT_DATABASE_URL to the PostgreSQL server itself" in done.stdout


def test_a_direct_url_that_points_to_a_pooler_is_refused(
    pooler: PgBouncer, manage: Manage, settings: Any
) -> None:
    with pooler.connect_django():
        settings.DIRECT_DATABASE = connection.settings_dict.copy()
        done = manage("schema_drift")
    assert done.returncode == 2
    assert "DIRECT_DATABASE_URL points to a pooler" in done.stderr
    assert "Set DIRECT_DATABASE_URL to the PostgreSQL server itself: docs/poolers.md" in done.stderr


def test_a_pooler_may_use_an_alias_of_the_database(
    pooler: PgBouncer, manage: Manage, tmp_path: Path, settings: Any
) -> None:
    settings.DIRECT_DATABASE = connection.settings_dict.copy()
    with pooler.connect_django(NAME=DATABASE_ALIAS):
        assert manage("backup_db", tmp_path / "new.dump", "--verify").returncode == 0
        assert find_newest_verified_backup() is not None
        assert manage("schema_drift").returncode in (0, 1)


def test_a_direct_url_that_does_not_answer_is_named(manage: Manage, settings: Any) -> None:
    settings.DIRECT_DATABASE = {**connection.settings_dict, "PORT": 9}
    done = manage("backup_db")
    first, second = done.stderr.removeprefix("CommandError: ").splitlines()
    assert done.returncode == 2
    assert first.startswith(f"PostgreSQL cannot be used at 127.0.0.1:9/{connection.settings_dict['NAME']}: ")
    assert second.startswith("Check DIRECT_DATABASE_URL and the server: docs/poolers.md")


def test_a_direct_url_of_another_database_is_refused(manage: Manage, settings: Any) -> None:
    settings.DIRECT_DATABASE = {**connection.settings_dict, "NAME": "postgres"}
    done = manage("schema_drift")
    first, second = done.stderr.removeprefix("CommandError: ").splitlines()
    assert done.returncode == 2
    assert first.startswith("DIRECT_DATABASE_URL and DATABASE_URL point to different databases")
    assert second == "Set both to the same database: docs/poolers.md"


def test_a_server_is_not_taken_for_a_pooler() -> None:
    require_session("This")


@pytest.mark.parametrize("backends", [2, 3, 5])
def test_a_pooler_with_round_robin_is_detected(
    tmp_path_factory: pytest.TempPathFactory, backends: int
) -> None:
    """With two of them, clients that ask in turn would have the same one each time."""
    require_pgbouncer()
    pooler = PgBouncer(tmp_path_factory.mktemp("pooler"), size=backends, extra="server_round_robin = 1")
    pooler.start()
    try:
        with pooler.connect_django():
            clients = [psycopg.connect(**libpq_parameters(connection)) for _ in range(backends)]
            for client in clients:  # each in a transaction, so that every backend is opened
                client.execute("SELECT 1")
            for client in clients:
                client.rollback()
                client.close()
            for _ in range(3):
                with pytest.raises(SessionRequired):
                    require_session("This")
    finally:
        pooler.remove()


def test_a_pooler_in_session_mode_is_not_refused(
    tmp_path_factory: pytest.TempPathFactory, manage: Manage
) -> None:
    require_pgbouncer()
    pooler = PgBouncer(tmp_path_factory.mktemp("pooler"), size=8, extra="pool_mode = session")
    pooler.start()
    try:
        with pooler.connect_django():
            done = manage("load_rules", "--execute")
    finally:
        pooler.remove()
    assert (done.returncode, done.stderr) == (0, "")
