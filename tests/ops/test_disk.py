"""A disk that is almost full holds a run; a full one fails it, and the run can be resumed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection

from kyndo.localservices.postgres import LocalPostgres
from ops import disk
from ops.disk import DiskSpace, DiskSpaceUnknown
from ops.health import monitor
from ops.health.disk import DatabaseDisk
from ops.health.limits import HealthLimits
from ops.models import AuditLog, Run
from ops.operations import registry
from ops.preflight import space, wal
from ops.preflight.finding import ManualAnswers, PreflightContext, Severity
from ops.runs import lifecycle
from ops.runs.creation import RunRequest, create_run
from ops.runs.status import describe_next_step
from tests.conftest import Manage
from tests.debian import connect_django_to_server
from tests.ops.running import RecordingMonitor, create_things, errors_by_object, execute_run, execute_sql
from tests.trials.models import Thing

RUN = Run(pk=7, model="trials.thing")


def make_server_remote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "_local_backend_pid", lambda: None)


def check_disk(**limits: Any) -> str:
    unhealthy = DatabaseDisk(RUN, HealthLimits(**limits)).check()
    return unhealthy.reason if unhealthy else "healthy"


@pytest.mark.django_db(transaction=True)
@pytest.mark.engine
class TestFreeSpace:
    def test_the_disks_of_a_local_server_are_measured(self) -> None:
        disks = disk.local_disks()
        directory = execute_sql("SHOW data_directory")[0][0]
        assert disks[0].label == "the disk of the data directory"
        assert abs(disks[0].free_bytes - shutil.disk_usage(directory).free) < 2**30
        assert check_disk(disk_free_mb=1) == "healthy"
        reason = check_disk(disk_free_mb=2**31 - 1)
        assert reason.endswith(" free of the disk of the data directory (limit 2147.5 TB)")

    def test_the_disks_are_measured_without_pg_monitor(self) -> None:
        execute_sql("CREATE ROLE plain")
        try:
            execute_sql("SET ROLE plain")
            assert check_disk(disk_free_mb=1) == "healthy"
        finally:
            execute_sql("RESET ROLE; DROP ROLE plain")

    @pytest.mark.parametrize("host", ["db.example.com", "10.0.0.1"])
    def test_a_remote_server_has_no_local_disks(self, host: str, settings: Any) -> None:
        settings_dict = connection.settings_dict
        execute_sql("SELECT 1")
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(settings_dict, "HOST", host)
            assert disk.local_disks() == []

    def test_free_space_is_the_declared_size_less_databases_and_wal(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_server_remote(monkeypatch)
        size = execute_sql("SELECT sum(pg_database_size(oid)) FROM pg_database")[0][0]
        declared = disk.declared_disk("500GB")
        assert 0 < 500 * 10**9 - declared.free_bytes - size < 50 * 2**30  # which the WAL takes
        assert check_disk(database_disk="500GB") == "healthy"
        assert (
            check_disk(database_disk="1MB")
            == "0 bytes free of the 1MB of OPS_HEALTH_DATABASE_DISK (limit 1.0 GB)"
        )

    def test_without_a_declared_size_the_error_names_the_variable(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_server_remote(monkeypatch)
        with pytest.raises(DiskSpaceUnknown, match="OPS_HEALTH_DATABASE_DISK=200GB"):
            DatabaseDisk(RUN, HealthLimits()).check()

    def test_retained_wal_is_unhealthy_if_the_disk_is_unknown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        make_server_remote(monkeypatch)
        monkeypatch.setattr("ops.health.disk._WAL_EXCESS_FACTOR", 0)
        assert " of WAL (" in check_disk()

    def test_without_pg_monitor_the_error_says_what_to_grant(self, monkeypatch: pytest.MonkeyPatch) -> None:
        make_server_remote(monkeypatch)
        execute_sql("CREATE ROLE plain")
        try:
            execute_sql("SET ROLE plain")
            with pytest.raises(DiskSpaceUnknown, match='GRANT pg_monitor TO "plain"'):
                check_disk(database_disk="500GB")
            with pytest.raises(DiskSpaceUnknown, match="OPS_HEALTH_DATABASE_DISK"):
                check_disk()
        finally:
            execute_sql("RESET ROLE; DROP ROLE plain")

    def test_preflight_recommends_no_more_wal_than_the_disk_can_hold(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        create_things(100)
        execute_sql("ANALYZE trials_thing")
        monkeypatch.setattr(wal, "_WAL_BYTES_PER_ROW", 2**30)
        full = PreflightContext(ManualAnswers(database_free=10 * 2**20))
        assert space.check_database_disk(full).severity == Severity.RED
        line = wal.check_wal_room(full)
        assert line.severity == Severity.RED
        assert [todo.partition(":")[0] for todo in line.todo] == ["Make room first"]
        assert (
            "max_wal_size = '"
            in wal.check_wal_room(PreflightContext(ManualAnswers(database_free=2**50))).todo[0]
        )

    def test_preflight_and_runs_measure_the_same_disk(self) -> None:
        assert (
            abs(
                (space.get_database_free_bytes(PreflightContext()) or 0)
                - min(each.free_bytes for each in disk.local_disks())
            )
            < 2**30
        )


def test_an_invalid_size_is_named_with_its_variable() -> None:
    assert HealthLimits.from_environ({"OPS_HEALTH_DATABASE_DISK": "1.5TB"}).database_disk == "1.5TB"
    with pytest.raises(ImproperlyConfigured, match="OPS_HEALTH_DATABASE_DISK is 'big' but must be a size"):
        HealthLimits.from_environ({"OPS_HEALTH_DATABASE_DISK": "big"})


def test_the_fullest_disk_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        DatabaseDisk, "_list_spaces", lambda self: [DiskSpace("a", 10**12), DiskSpace("b", 5 * 10**6)]
    )
    assert check_disk() == "5.0 MB free of b (limit 1.0 GB)"


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest, django_db_blocker: Any) -> Iterator[LocalPostgres]:
    """A server with the things on a disk of their own, ``small``; skips if mounting is not permitted."""
    own = LocalPostgres(tmp_path / "pg", request.config.getoption("--pg"), durable=False)
    own.start()
    folder = own.base_dir / "small"
    try:
        mount(folder)
        space = folder / "space"
        space.mkdir(mode=0o700)
        own.account.chown(space)
        assert Manage().process("migrate", "--run-syncdb", env={"DATABASE_URL": own.url}).returncode == 0
        with django_db_blocker.unblock(), connect_django_to_server(own):
            execute_sql(f"CREATE TABLESPACE small LOCATION '{space}'")
            execute_sql("ALTER TABLE trials_thing SET TABLESPACE small")
            yield own
    finally:
        own.stop()
        subprocess.run(["umount", folder], capture_output=True, check=False)
        own.remove()


def mount(folder: Path) -> None:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m,mode=755", "kyndo-test", folder]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not permitted here")


@pytest.fixture
def small(server: LocalPostgres) -> Path:
    """A disk of 24 MB."""
    return server.base_dir / "small"


def fill(small: Path, leave: int = 0) -> Path:
    """Fill the disk with another file."""
    ballast = small / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(small).free - leave)
    return ballast


@pytest.mark.long
def test_an_almost_full_disk_holds_the_run_until_there_is_space(
    small: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OPS_HEALTH = replace(HealthLimits(), disk_free_mb=4, hold_seconds=1)
    monkeypatch.setattr(monitor, "CHECK_INTERVAL", timedelta(milliseconds=20))
    create_things(2000)
    run = create_run(RunRequest(registry.get_operation("trials_annotate"), "ada"))
    ballast = fill(small, leave=2**20)

    class Cleared(RecordingMonitor):
        def on_hold(self, run: Run) -> None:
            super().on_hold(run)
            assert self.batches == 0
            ballast.unlink(missing_ok=True)

    watched = Cleared()
    assert execute_run(run, watched).state == "succeeded"
    assert watched.hold_reasons[0].startswith("disk: ")
    assert f"free of the disk of {small / 'space'} (limit 4.0 MB)" in watched.hold_reasons[0]


@pytest.mark.long
def test_a_full_disk_fails_the_run_which_can_be_resumed(small: Path) -> None:
    create_things(2000)
    run = create_run(RunRequest(registry.get_operation("trials_annotate"), "ada", ignored_health=["disk"]))
    ballast = fill(small)
    with pytest.raises(OperationalError):
        execute_run(run)
    run.refresh_from_db()
    assert (run.state, run.error_code, errors_by_object(run)) == ("failed", "53100", {})
    assert "No space left on device" in run.error
    next_step = describe_next_step(run)
    assert next_step.startswith("Make room on the disk of the database")
    assert next_step.endswith(f"then resume it: manage.py runs resume {run.pk}")
    ballast.unlink()
    lifecycle.requeue(run)
    assert execute_run(run).state == "succeeded"
    assert Thing.objects.filter(note=None).count() == 0
    assert AuditLog.objects.filter(run=run).count() == 2000
