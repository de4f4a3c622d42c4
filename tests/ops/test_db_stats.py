"""`db_stats`: what costs, what runs, who waits for whom; and how to switch on what is missing."""

import json
import re
import threading
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from ops.report import stats as report
from ops.stats.activity import fetch_sessions
from ops.stats.relations import fetch_indexes, fetch_largest_tables
from ops.stats.statements import ExtensionMissing, fetch_top_statements
from tests.debian import DebianPostgres, connect_django_to_server, require_debian_postgres
from tests.ops.running import create_things, execute_sql, player, wait_until


def told(*options: str) -> str:
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
def test_pg_stat_statements_is_switched_on_by_what_db_stats_says_and_then_tells_the_dearest(
    debian: DebianPostgres,
) -> None:
    with connect_django_to_server(debian):
        steps = re.findall(r"> (.+)", told())
        assert [step.split("'")[0] for step in steps[1:]] == [
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
        execute_sql(steps[2].split("'")[1])
        for seconds in (0.02, 0.01):
            execute_sql("SELECT pg_sleep(%s), 'much'\n  AS told", seconds)
        found = fetch_top_statements(10)
        assert not isinstance(found, ExtensionMissing)
        slept = next(each for each in found if each.query == "SELECT pg_sleep($1), $2 AS told")
        assert (slept.calls, slept.rows) == (2, 2)
        assert slept.total.total_seconds() >= 0.03
        assert slept.mean.total_seconds() * 2 == pytest.approx(slept.total.total_seconds(), rel=0.01)
        assert found == sorted(found, key=lambda each: each.total, reverse=True)
        assert re.search(r"^ +total  calls +mean  rows  statement$", told(), re.M)


@pytest.mark.django_db
def test_a_server_without_the_extension_is_told_what_to_install(request: pytest.FixtureRequest) -> None:
    if execute_sql("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_stat_statements'"):
        pytest.skip("this server has pg_stat_statements")
    assert "one of PostgreSQL's contrib modules" in told()
    missing = json.loads(told("--json"))["missing"]
    assert "apt-get install" in missing["todo"][0]


@pytest.mark.django_db(transaction=True)
def test_sizes_and_dead_rows_are_of_the_table_and_an_index_is_unused_until_it_is_read() -> None:
    create_things(300)
    execute_sql("CREATE INDEX trials_unused ON trials_thing (note)")
    try:
        execute_sql("UPDATE trials_thing SET score = 1")
        execute_sql("SELECT pg_stat_force_next_flush()")
        thing = next(each for each in fetch_largest_tables(1000) if each.name == "trials_thing")
        # Counters of another test's rows may still come in.
        assert thing.live >= 300
        assert thing.dead >= 300
        sizes = execute_sql("SELECT pg_total_relation_size('trials_thing'), pg_indexes_size('trials_thing')")
        assert sizes == [(thing.size, thing.indexes)]
        assert {index.name: index.unused for index in fetch_indexes()}["trials_unused"] is True
        # Not at once, where dead rows of others' transactions still keep a new index from use.
        wait_until(lambda: not _after_a_look_by_note()["trials_unused"].unused)
        read = _after_a_look_by_note()
    finally:
        execute_sql("DROP INDEX trials_unused")
    assert read["trials_unused"].scans > 1
    assert not read["trials_thing_pkey"].unused


def _after_a_look_by_note() -> dict[str, Any]:
    execute_sql("SET enable_seqscan = off")
    execute_sql("SELECT * FROM trials_thing WHERE note = 'x'")
    execute_sql("RESET enable_seqscan")
    execute_sql("SELECT pg_stat_force_next_flush()")
    return {index.name: index for index in fetch_indexes()}


@pytest.mark.django_db(transaction=True)
def test_who_waits_is_told_with_whom_for_and_a_run_with_its_lane() -> None:
    create_things(1)
    with player() as holder, player() as waiter:
        first, second = holder.info.backend_pid, waiter.info.backend_pid
        holder.execute("SELECT set_config('application_name', 'kyndo run 7 lane 0', true)")
        holder.execute("UPDATE trials_thing SET score = 2")
        waiting = threading.Thread(target=waiter.execute, args=["UPDATE trials_thing SET score = 3"])
        waiting.start()
        try:
            wait_until(lambda: any(session.blocked_by for session in fetch_sessions()))
            found = {session.pid: session for session in fetch_sessions()}
            lines = report.as_lines(report.DatabaseStats())
        finally:
            holder.rollback()
            waiting.join()
    assert (found[first].name, found[first].state) == ("kyndo run 7 lane 0", "idle in transaction")
    assert found[second].blocked_by == [first]
    assert any(f"{second}" in line and f"waits for {first}" in line for line in lines)
    assert f'  > psql "$DATABASE_URL" -c "SELECT pg_terminate_backend({first})"' in lines
    assert max(map(len, lines)) <= 100
