"""Each indicator, checked on a PostgreSQL that is unhealthy in that way, and then healthy again."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection, connections

from kyndo.localservices.ports import find_free_port
from kyndo.localservices.postgres import LocalPostgres
from ops.health.archiving import Archiving
from ops.health.connections import Connections
from ops.health.indicator import Indicator
from ops.health.limits import HealthLimits
from ops.health.lock_waiters import LockWaiters
from ops.health.maintenance import Maintenance
from ops.health.player_latency import PlayerLatency
from ops.health.replicas import ReplicaLag
from ops.models import Run
from tests.ops.running import execute_sql, wait_until

pytestmark = pytest.mark.engine

RUN = Run(pk=7, model="trials.thing")


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[LocalPostgres]:
    settings = {"archive_mode": "on", "max_connections": "20", "autovacuum_naptime": "1"}
    version = request.config.getoption("--pg")
    own = LocalPostgres(tmp_path_factory.mktemp("health"), version, durable=False, settings=settings)
    own.start()
    yield own
    own.remove()


@pytest.fixture(autouse=True)
def _connect_to_server(server: LocalPostgres, django_db_blocker: Any) -> Iterator[None]:
    """Let Django connect to that server."""
    before, other = connections["default"], connections["default"].copy()
    url = urlsplit(server.url)
    other.settings_dict |= {
        "HOST": url.hostname,
        "PORT": url.port,
        "USER": url.username,
        "PASSWORD": url.password,
        "NAME": url.path.strip("/"),
    }
    with django_db_blocker.unblock():
        connections["default"] = other
        try:
            yield
        finally:
            other.close()
            connections["default"] = before


def check(indicator: type[Indicator], **limits: Any) -> str:
    result = indicator(RUN, HealthLimits(**limits)).check()
    return result.reason if result else "well"


def reports(text: str, indicator: type[Indicator], **limits: Any) -> Callable[[], bool]:
    return lambda: text in check(indicator, **limits)


@contextmanager
def connect_client(server: LocalPostgres, **options: Any) -> Iterator["psycopg.Connection[Any]"]:
    with psycopg.connect(server.url, autocommit=True, **options) as other:
        yield other


@contextmanager
def executing(server: LocalPostgres, *statements: str, **options: Any) -> Iterator[None]:
    """Execute the statements over a connection of their own; the last one until it is cancelled."""
    with connect_client(server, **options) as other:
        for statement in statements[:-1]:
            other.execute(statement)

        def execute_last() -> None:
            with pytest.raises(psycopg.errors.QueryCanceled):
                other.execute(statements[-1])

        thread = Thread(target=execute_last)
        thread.start()
        try:
            yield
        finally:
            other.cancel()
            thread.join()


@pytest.fixture
def table() -> Iterator[None]:
    execute_sql("CREATE TABLE trials_thing (id int PRIMARY KEY, score int) WITH (autovacuum_enabled = off)")
    execute_sql(
        "INSERT INTO trials_thing SELECT n, 0 FROM generate_series(1, 2000) n;"
        "UPDATE trials_thing SET score = 1"
    )
    yield
    execute_sql("DROP TABLE trials_thing")


def configure(name: str, value: str) -> None:
    execute_sql(f"ALTER SYSTEM SET {name} = '{value}'")
    execute_sql("SELECT pg_reload_conf()")


def test_waiting_wal_and_a_failing_archiver_are_unhealthy() -> None:
    configure("archive_command", "true")  # other tests may have changed it
    wait_until(reports("well", Archiving, archive_files=1))
    configure("archive_command", "")
    wait_until(lambda: execute_sql("SHOW archive_command") == [("",)])
    for _ in range(2):
        execute_sql("SELECT pg_logical_emit_message(true, 'trial', 'x')")
        execute_sql("SELECT pg_switch_wal()")
    assert check(Archiving, archive_files=1) == "2 WAL files wait for archiving (limit 1)"
    assert check(Archiving, archive_files=2) == "well"
    configure("archive_command", "false")
    wait_until(reports("archiving fails at WAL file 0000", Archiving, archive_files=1000))
    configure("archive_command", "true")
    wait_until(reports("well", Archiving, archive_files=1))


@contextmanager
def standby(server: LocalPostgres, data: Path) -> Iterator["psycopg.Connection[Any]"]:
    """A replica made with pg_basebackup."""
    data.mkdir(mode=0o700)
    server.account.chown(data)
    source = f"{server.url}?application_name=standby1"
    copy = [server.bin_dir / "pg_basebackup", "-d", source, "-D", data, "-R", "-c", "fast"]
    subprocess.run(copy, check=True, **server.account.popen_kwargs)
    port = find_free_port(0)
    start = [server.bin_dir / "postgres", "-D", data, "-p", str(port), "-c", "unix_socket_directories="]
    process = subprocess.Popen(
        [*start, "-c", "archive_mode=off", "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=20"],
        stderr=subprocess.DEVNULL,
        **server.account.popen_kwargs,
    )
    try:
        url = urlsplit(server.url)
        address = url._replace(netloc=f"{url.username}:{url.password}@127.0.0.1:{port}").geturl()
        wait_until(lambda: _answers(address))
        with psycopg.connect(address, autocommit=True) as replica:
            yield replica
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def test_a_replica_with_paused_replay_is_unhealthy_until_it_catches_up(
    server: LocalPostgres, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with standby(server, server.data.parent / "standby") as replica:
        wait_until(lambda: execute_sql("SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'"))
        wait_until(reports("well", ReplicaLag, replica_lag_mb=1))
        replica.execute("SELECT pg_wal_replay_pause()")
        execute_sql("SELECT pg_logical_emit_message(true, 'trial', repeat('x', 5 << 20))")
        wait_until(reports("standby1 is 5 MB behind (limit 1)", ReplicaLag, replica_lag_mb=1))
        assert check(ReplicaLag) == "well"
        replica.execute("SELECT pg_wal_replay_resume()")
        wait_until(reports("well", ReplicaLag, replica_lag_mb=1))


@pytest.mark.usefixtures("table")
def test_maintenance_that_a_person_started_is_unhealthy_until_it_ends(server: LocalPostgres) -> None:
    assert check(Maintenance) == "well"
    slowly = ("SET vacuum_cost_delay = '100ms'", "SET vacuum_cost_limit = 1")
    with executing(server, *slowly, "VACUUM trials_thing"):
        wait_until(reports('VACUUM of "trials_thing" by process', Maintenance))
    execute_sql("CREATE TABLE other AS SELECT * FROM trials_thing")
    with executing(server, *slowly, "VACUUM other"):
        wait_until(lambda: execute_sql("SELECT 1 FROM pg_stat_progress_vacuum"))
        assert check(Maintenance) == "well"
    sleeps = "BEGIN PERFORM pg_sleep(0.1); RETURN n; END"
    execute_sql(f"CREATE FUNCTION slow(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ {sleeps} $$")
    with executing(server, "CREATE INDEX ON trials_thing (slow(id))"):
        wait_until(reports('CREATE INDEX of "trials_thing" by process', Maintenance))
    wait_until(reports("well", Maintenance))
    execute_sql("DROP TABLE other; DROP FUNCTION slow")


@pytest.mark.usefixtures("table")
def test_an_autovacuum_is_unhealthy_for_its_first_seconds_only() -> None:
    options = "autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0"
    slowly = "autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1"
    execute_sql(f"ALTER TABLE trials_thing SET (autovacuum_enabled = on, {options}, {slowly})")
    execute_sql("UPDATE trials_thing SET score = 2")
    wait_until(reports('autovacuum of "trials_thing" has just begun', Maintenance, autovacuum_seconds=3600))
    wait_until(reports("well", Maintenance, autovacuum_seconds=1))
    assert execute_sql("SELECT 1 FROM pg_stat_progress_vacuum")


@pytest.mark.usefixtures("table")
def test_sessions_that_wait_for_a_batch_are_unhealthy_others_are_not(
    server: LocalPostgres,
) -> None:
    with (
        connect_client(server, application_name="kyndo run 7 lane 1") as batch,
        connect_client(server) as other,
    ):
        batch.execute("BEGIN; UPDATE trials_thing SET score = 3 WHERE id = 1")
        other.execute("BEGIN; UPDATE trials_thing SET score = 3 WHERE id = 2")
        with executing(server, "UPDATE trials_thing SET score = 4 WHERE id = 2"):
            wait_until(lambda: execute_sql("SELECT 1 FROM pg_locks WHERE NOT granted"))
            assert check(LockWaiters, lock_wait_ms=1) == "well"
        with executing(server, "UPDATE trials_thing SET score = 4 WHERE id = 1"):
            wait_until(reports("ms for a lock of this run (limit 1)", LockWaiters, lock_wait_ms=1))
            assert check(LockWaiters) == "well"
            with executing(server, "UPDATE trials_thing SET score = 4 WHERE id = 1"):
                too_many = reports(
                    "2 sessions wait for locks of this run (limit 1)",
                    LockWaiters,
                    lock_wait_ms=10**6,
                    lock_waiters=1,
                )
                wait_until(too_many, within=5)


def test_used_up_connections_are_unhealthy_until_some_are_free(server: LocalPostgres) -> None:
    assert check(Connections) == "well"
    with ExitStack() as stack:
        for _ in range(15):
            stack.enter_context(connect_client(server))
        assert check(Connections) == "16 of 17 connections used (limit 90 %)"
    wait_until(reports("well", Connections))


def test_the_probe_is_a_timed_statement_or_a_callable() -> None:
    assert check(PlayerLatency) == "well"
    assert check(PlayerLatency, player_probe="SELECT 1", player_latency_ms=10**6) == "well"
    slow = check(PlayerLatency, player_probe="SELECT pg_sleep(0.03)", player_latency_ms=20)
    assert slow.startswith("players wait ")
    assert slow.endswith(" ms (limit 20)")
    result = check(PlayerLatency, player_probe=f"{__name__}.three_seconds", player_latency_ms=20)
    assert result == "players wait 3,000 ms (limit 20)"


def three_seconds() -> float:
    return 3.0


def test_connections_and_lock_waiters_need_no_role(server: LocalPostgres) -> None:
    execute_sql("CREATE ROLE plain")
    try:
        execute_sql("SET ROLE plain")
        assert [check(indicator) for indicator in (Connections, LockWaiters)] == ["well", "well"]
    finally:
        connection.close()
        execute_sql("DROP ROLE plain")
