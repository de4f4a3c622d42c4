"""`db_stats`: expensive statements, sizes, sessions and lock waits; how to enable what is missing."""

import json
import re
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from ops.db import batch_settings_params
from ops.report import stats as report
from ops.stats.activity import fetch_sessions
from ops.stats.relations import fetch_indexes, fetch_largest_tables
from ops.stats.statements import ExtensionMissing, fetch_top_statements
from tests.debian import DebianPostgres, connect_django_to_server, require_debian_postgres
from tests.ops.conftest import RegisterOperation
from tests.ops.running import create_run, create_things, execute_sql, make_operation, player, wait_until
from tests.trials.models import Thing


def db_stats(*options: str) -> str:
    out = StringIO()
    call_command("db_stats", *options, stdout=out)
    return out.getvalue()


@pytest.fixture
def debian(tmp_path: pytest.TempPathFactory) -> Iterator[DebianPostgres]:
    require_debian_postgres()
    server = DebianPostgres(tmp_path)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.mark.django_db
def test_db_stats_says_how_to_enable_pg_stat_statements(
    debian: DebianPostgres,
) -> None:
    with connect_django_to_server(debian):
        steps = re.findall(r"> (.+)", db_stats())
        assert [step.split('"CREATE')[0] for step in steps[1:]] == [
            "Restart the server (docker compose restart postgres).",
            'psql "$DATABASE_URL" -c ',
        ]
        execute_sql(steps[0].split('"')[3])
        debian.stop()
        debian.start()
        connection.close()
        assert fetch_top_statements(1) == ExtensionMissing(
            "This database has no extension pg_stat_statements yet.", (steps[2],)
        )
        execute_sql(steps[2].split('"')[3])
        for seconds in (0.02, 0.01):
            execute_sql("SELECT pg_sleep(%s), 'much'\n  AS told", seconds)
        statements = fetch_top_statements(10)
        assert not isinstance(statements, ExtensionMissing)
        sleep = next(each for each in statements if each.query == "SELECT pg_sleep($1), $2 AS told")
        assert (sleep.calls, sleep.rows) == (2, 2)
        assert sleep.total.total_seconds() >= 0.03
        assert sleep.mean.total_seconds() * 2 == pytest.approx(sleep.total.total_seconds(), rel=0.01)
        assert statements == sorted(statements, key=lambda each: each.total, reverse=True)
        assert re.search(r"^ +total  calls +mean  rows  statement$", db_stats(), re.M)


@pytest.mark.django_db
def test_a_server_without_the_extension_names_the_package_to_install(request: pytest.FixtureRequest) -> None:
    if execute_sql("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_stat_statements'"):
        pytest.skip("this server has pg_stat_statements")
    assert "  > Install PostgreSQL's contrib package on the server (Debian: apt-get" in db_stats()
    missing = json.loads(db_stats("--json"))["missing"]
    assert "apt-get install" in missing["todo"][0]


@pytest.mark.django_db(transaction=True)
def test_sizes_and_dead_rows_of_a_table_and_an_unused_index() -> None:
    create_things(300)
    execute_sql("CREATE INDEX trials_unused ON trials_thing (note)")
    try:
        execute_sql("UPDATE trials_thing SET score = 1")
        execute_sql("SELECT pg_stat_force_next_flush()")
        table = next(each for each in fetch_largest_tables(1000) if each.name == "trials_thing")
        # Counters of another test's rows may still come in.
        assert table.live >= 300
        assert table.dead >= 300
        sizes = execute_sql("SELECT pg_total_relation_size('trials_thing'), pg_indexes_size('trials_thing')")
        assert sizes == [(table.size, table.indexes)]
        assert {index.name: index.unused for index in fetch_indexes()}["trials_unused"] is True
        # Not at once: dead rows of other transactions may still keep a new index from use.
        wait_until(lambda: not _indexes_after_reading_by_note()["trials_unused"].unused)
        indexes = _indexes_after_reading_by_note()
    finally:
        execute_sql("DROP INDEX trials_unused")
    assert indexes["trials_unused"].scans > 1
    assert not indexes["trials_thing_pkey"].unused


def _indexes_after_reading_by_note() -> dict[str, Any]:
    execute_sql("SET enable_seqscan = off")
    execute_sql("SELECT * FROM trials_thing WHERE note = 'x'")
    execute_sql("RESET enable_seqscan")
    execute_sql("SELECT pg_stat_force_next_flush()")
    return {index.name: index for index in fetch_indexes()}


@pytest.mark.django_db(transaction=True)
def test_a_session_shows_whom_it_waits_for_and_a_batch_shows_its_lane(declare: RegisterOperation) -> None:
    create_things(1)
    run = create_run(declare(make_operation(Thing.objects.filter(note=None), {"note": "x"})))
    _, name, *_ = batch_settings_params(run, run.lanes.earliest("number"), timedelta(seconds=1))
    with player() as holder, player() as waiter:
        first, second = holder.info.backend_pid, waiter.info.backend_pid
        holder.execute("SELECT set_config('application_name', %s, true)", [name])
        holder.execute("UPDATE trials_thing SET score = 2")
        waiting = threading.Thread(target=waiter.execute, args=["UPDATE trials_thing SET score = 3"])
        waiting.start()
        try:
            wait_until(lambda: any(session.blocked_by for session in fetch_sessions()))
            sessions = {session.pid: session for session in fetch_sessions()}
            lines = report.as_lines(report.DatabaseStats())
        finally:
            holder.rollback()
            waiting.join()
    assert (sessions[first].name, sessions[first].state) == (
        f"kyndo run {run.pk} lane 1",
        "idle in transaction",
    )
    assert sessions[second].blocked_by == [first]
    assert any(f"{second}" in line and f"waits for {first}" in line for line in lines)
    assert f'  > psql "$DATABASE_URL" -c "SELECT pg_terminate_backend({first})"' in lines
    assert max(map(len, lines)) <= 100


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("lock", "unread"),
    [
        ("LOCK TABLE trials_thing IN ACCESS EXCLUSIVE MODE", ["tables"]),
        ("LOCK TABLE django_migrations, ops_run IN ACCESS EXCLUSIVE MODE", ["tables"]),
        ("REINDEX TABLE trials_thing", ["tables", "indexes"]),
    ],
)
def test_sessions_come_first_where_a_lock_hides_the_sizes(lock: str, unread: list[str]) -> None:
    with player() as holder:
        pid = holder.info.backend_pid
        holder.execute(lock)
        began = time.monotonic()
        lines = db_stats().splitlines()
        took = time.monotonic() - began
        document = json.loads(db_stats("--json"))
    assert took < 5
    assert lines[0] == "Running now"
    session = next(line for line in lines if line.split()[:1] == [str(pid)])
    assert "idle in transaction" in session
    assert lock[:20] in session
    for section in unread:
        title = next(place for place, line in enumerate(lines) if line.startswith(f"The largest {section}"))
        assert lines[title + 1] == (
            '  The sizes cannot be read, since another session holds a lock: see "Running now".'
        )
    assert "The most expensive statements" in lines
    assert [name for name in ("tables", "indexes") if document[name] is None] == unread
    assert pid in {each["pid"] for each in document["sessions"]}
