"""DATABASE_URL points to a standby; a failover happens during a run."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection
from django.test import Client

from kyndo.localservices.postgres import LocalPostgres
from ops.engine.loop import run_batches
from ops.exceptions import RunLost
from ops.models import AuditLog, Run
from ops.operations import registry
from ops.workers.jobs import advance
from tests.conftest import ROOT, Manage
from tests.ops.conftest import RegisterOperation
from tests.ops.running import (
    RecordingMonitor,
    create_run,
    create_things,
    execute_sql,
    make_operation,
    wait_until,
)
from tests.standby import Standby, connect_django_to_servers
from tests.trials.models import Thing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.long]


@dataclass
class Pair:
    """Two servers with all tables and the user Ada; tests write to copies of ``primary`` only."""

    primary: LocalPostgres
    standby: Standby
    is_filled: bool = False

    def fill(self) -> None:
        """Create tables and users, once, since it is slow."""
        if self.is_filled:
            return
        with connect_django_to_servers(self.primary):
            ContentType.objects.clear_cache()  # of another database
            call_command("migrate", verbosity=0, run_syncdb=True, skip_checks=True)
            ContentType.objects.clear_cache()
            User.objects.create_superuser("ada", password="wonder")
            call_command("load_rules", "--execute", stdout=StringIO())
            catch_up(self.standby)
        self.is_filled = True


@pytest.fixture(scope="module")
def _pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    root = tmp_path_factory.mktemp("pair")
    primary = LocalPostgres(root / "primary", durable=False)
    primary.start()
    standby = Standby(root / "standby", primary)
    standby.start()
    yield Pair(primary, standby)
    standby.remove()
    primary.remove()


@pytest.fixture
def pair(_pair: Pair) -> Pair:
    _pair.fill()
    return _pair


@pytest.fixture
def _on_standby(pair: Pair) -> Iterator[None]:
    """Connect Django to the standby."""
    with connect_django_to_servers(pair.standby):
        yield


def catch_up(standby: Standby) -> None:
    """Wait until the standby has replayed all WAL of Django's server."""
    execute_sql(
        "CHECKPOINT"
    )  # without synchronous commits, the last WAL may not have been written to its files yet
    [(lsn,)] = execute_sql("SELECT pg_current_wal_lsn()::text")
    with connect_django_to_servers(standby):
        wait_until(lambda: execute_sql("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", lsn) == [(True,)])


WRITES = [
    "backfill_rarity_v2 --execute",
    "bulk_promote --from common --to rare --execute",
    "load_rules",
    "load_rules --execute",
    "generate_cards 5",
    "import_json {node}",
    "backup_db {tmp}/new.dump",
    "backup_db {tmp}/new.dump --verify",
    "schema_drift",
    "createsuperuser --skip-checks --noinput --username bob --email b@example.com",
]
READS = ["runs", "bulk_promote --from common --to rare", "verify_rarity_v2", "db_stats", "exports"]


@pytest.mark.usefixtures("_on_standby")
def test_commands_that_write_print_two_lines_and_write_nothing(manage: Manage, tmp_path: Path) -> None:
    for command in WRITES:
        node = ROOT / "tests" / "cards" / "node_export"
        args = [arg.format(tmp=tmp_path, node=node) for arg in command.split()]
        done = manage(*args)
        assert done.returncode in (1, 2), command
        assert len(done.stderr.splitlines()) == 2, (command, done.stderr)
        assert "is a standby" in done.stderr, (command, done.stderr)
        assert "the primary" in done.stderr, (command, done.stderr)
        assert list(tmp_path.iterdir()) == [], command


def test_restore_prints_two_lines_on_a_standby(pair: Pair, manage: Manage, tmp_path: Path) -> None:
    file = tmp_path / "primary.dump"
    with connect_django_to_servers(pair.primary):
        assert manage("backup_db", file).returncode == 0
    with connect_django_to_servers(pair.standby):
        done = manage("restore_db", file, "--confirm", "kyndo")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 2
    assert "is a standby" in done.stderr


@pytest.mark.usefixtures("_on_standby")
def test_migrate_prints_two_lines_on_a_standby(manage: Manage) -> None:
    done = manage("migrate", "cards", "zero", "--skip-checks")
    first, second = done.stderr.splitlines()
    assert done.returncode == 1
    assert "is a standby, so it is read-only" in first
    assert second.startswith("Set DATABASE_URL to the primary")


@pytest.mark.usefixtures("_on_standby")
def test_commands_that_read_work_on_a_standby(manage: Manage) -> None:
    for command in READS:
        done = manage(*command.split())
        assert (done.returncode, done.stderr) == (0, ""), command


@pytest.mark.usefixtures("_on_standby")
def test_a_login_on_a_standby_answers_503(client: Client, settings: Any) -> None:
    settings.ADMIN_KEY = "key"
    answer = client.post("/admin/login/", {"username": "ada", "password": "wonder"})
    assert (answer.status_code, answer["Retry-After"]) == (503, "30")
    assert "The database is read-only at the moment. Nothing was changed." in answer.content.decode()
    assert client.get("/metrics", headers={"x-admin-key": "key"}).status_code == 200


def test_a_read_only_role_gets_the_statement_that_lets_it_write(manage: Manage) -> None:
    alter = f"ALTER ROLE kyndo IN DATABASE {connection.settings_dict['NAME']} "
    execute_sql(f"{alter} SET default_transaction_read_only = on")
    try:
        done = manage("load_rules", "--execute")
    finally:
        execute_sql(f"{alter} RESET default_transaction_read_only")
    first, second = done.stderr.splitlines()
    assert "is read-only (default_transaction_read_only is on)" in first
    assert second.startswith('In psql: ALTER ROLE "kyndo" IN DATABASE ')


def test_an_operation_that_writes_in_a_preview_is_refused(declare: RegisterOperation, manage: Manage) -> None:
    create_things(1)
    declare(make_operation(Thing.objects.extra(where=["nextval('trials_thing_id_seq') > 0"]), {"score": 1}))
    done = manage("operate", "trial")
    assert done.returncode == 1
    assert "Writing is not allowed in a preview or a check" in done.stderr


@pytest.fixture
def couple(pair: Pair, tmp_path: Path) -> Iterator[tuple[Standby, Standby]]:
    """A primary that may be killed, and its standby."""
    old = Standby(tmp_path / "old", pair.primary)
    old.start()
    old.promote()
    new = Standby(tmp_path / "new", old)
    new.start()
    yield old, new
    new.remove()
    old.remove()


@pytest.mark.parametrize("lost", [False, True])
def test_a_run_survives_a_failover_or_is_reported_as_lost(
    couple: tuple[Standby, Standby], declare: RegisterOperation, lost: bool
) -> None:
    declare(make_operation(Thing.objects.filter(score__lt=7), {"score": 7}))
    old, new = couple
    with connect_django_to_servers(old):
        create_things(400)
        catch_up(new)
        if lost:  # the standby does not get the run
            new.stop()
        run = create_run(registry.get_operation("trial"), batch_size=10)

    def fail_over(number: int) -> None:
        if number == 3:
            if not lost:
                catch_up(new)
            old.kill()
            new.start()

    listener, errors = RecordingMonitor(fail_over), []

    def go() -> None:
        with connect_django_to_servers(old, new):
            try:
                run_batches(run, listener, Event())
            except RunLost as exc:
                errors.append(str(exc))

    worker = Thread(target=go)
    worker.start()
    wait_until(lambda: errors or any("read-only" in reason for reason in listener.wait_reasons))
    new.promote()
    worker.join()
    with connect_django_to_servers(new):
        if lost:
            assert "is no longer in the database" in errors[0]
            assert not Run.objects.exists()
        else:
            assert Run.objects.get().state == "succeeded"
            assert AuditLog.objects.filter(run=run.pk).count() == Thing.objects.filter(score=7).count() == 400


def test_a_worker_logs_that_a_run_was_lost(
    declare: RegisterOperation, caplog: pytest.LogCaptureFixture
) -> None:
    declare(make_operation(Thing.objects.filter(score__lt=7), {"score": 7}))
    create_things(50)
    run = create_run(registry.get_operation("trial"), batch_size=10, workers=1)

    class Lose(RecordingMonitor):
        def __init__(self) -> None:
            super().__init__(lambda number: delete_run(run))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ops.workers.jobs.NullListener", Lose)
        advance(run.pk)
    assert f"Run {run.pk} is no longer in the database" in caplog.text


def test_resume_prints_a_line_if_the_run_was_lost(declare: RegisterOperation, manage: Manage) -> None:
    declare(make_operation(Thing.objects.filter(score__lt=7), {"score": 7}))
    create_things(50)
    run = create_run(registry.get_operation("trial"), batch_size=10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ops.report.reporters.LineReporter.on_batch", lambda self, run, size: delete_run(run))
        done = manage("runs", "resume", run.pk)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert f"Run {run.pk} is no longer in the database" in line


def test_the_admin_says_that_a_run_does_not_exist(admin_client: Client) -> None:
    for page in ("change", "pause"):
        answer = admin_client.post(f"/admin/ops/run/987/{page}/")
        assert answer.status_code == 404
        assert "There is no run 987. If it existed before, a restored backup" in answer.content.decode()


def delete_run(run: Run) -> None:
    execute_sql("DELETE FROM ops_claim; DELETE FROM ops_lane; DELETE FROM ops_run")
