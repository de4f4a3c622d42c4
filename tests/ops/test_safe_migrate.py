"""Migrations beside players: nobody queues behind one for long, and one that failed can be run again."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from subprocess import PIPE
from threading import Thread
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from ops.migrate import timeouts
from ops.migrate.migration_lock import migration_lock
from ops.migrate.session_settings import MigrationBlocked
from ops.migrate.timeouts import MigrationSession
from ops.sqlstates import LOCK_NOT_AVAILABLE, sqlstate
from tests.manage import Manage
from tests.ops.running import create_things, execute_sql, player, wait_until
from tests.trials.models import Thing

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

SECOND = timedelta(seconds=1)
# For longer than the lock timeout of these tests.
IS_WAITING = """
SELECT 1 FROM pg_stat_activity
WHERE query LIKE 'CREATE INDEX CONCURRENTLY%waits%' AND wait_event_type = 'Lock'
    AND now() - query_start > '0.3 s'
"""
HOLD = "LOCK TABLE django_session IN ACCESS SHARE MODE"


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What is reported within `migration_timeouts`, which are short ones here."""
    monkeypatch.setattr(timeouts, "LOCK_TIMEOUT", timedelta(milliseconds=50))
    monkeypatch.setattr(timeouts, "STATEMENT_TIMEOUT", timedelta(milliseconds=200))
    lines: list[str] = []
    with session(lines.append).timeouts():
        yield lines


def session(report: Callable[[str], object] = print) -> MigrationSession:
    return MigrationSession(connection, timedelta(minutes=1), report)


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def settings() -> list[Any]:
    return [execute_sql(f"SHOW {name}")[0][0] for name in ("lock_timeout", "statement_timeout")]


def index_state(name: str) -> list[Any]:
    return execute_sql("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", name)


@pytest.fixture
def slow_function() -> Iterator[None]:
    """``slow(int)``: longer than the statement timeout for a few rows."""
    execute(
        "CREATE FUNCTION slow(value int) RETURNS int IMMUTABLE LANGUAGE plpgsql"
        " AS $$ BEGIN PERFORM pg_sleep(0.1); RETURN value; END $$"
    )
    yield
    execute("DROP FUNCTION slow CASCADE")


def test_a_migration_gives_up_when_a_lock_is_not_free(manage: Manage) -> None:
    with player() as other:
        other.execute(HOLD)
        done = manage("migrate", "sessions", "zero", "--retry-for", "0")
        other.rollback()
    assert done.returncode == 1
    assert done.stderr.startswith("CommandError: Other sessions held a lock that the migration needs. To see")
    assert len(done.stderr.splitlines()) == 1
    assert execute_sql("SELECT count(*) FROM django_session") == [(0,)]
    assert execute_sql("SELECT count(*) FROM django_migrations WHERE app = 'sessions'") == [(1,)]


def test_players_get_through_while_a_migration_waits_for_a_lock(manage: Manage) -> None:
    with player() as holder, player() as other:
        holder.execute(HOLD)
        with manage.popen("migrate", "sessions", "zero", stdout=PIPE, stderr=PIPE) as process:
            assert process.stderr
            assert "Trying again for up to 5 min" in process.stderr.readline()
            for _ in range(20):
                other.execute("SET LOCAL lock_timeout = '20s'; SELECT count(*) FROM django_session")
                other.rollback()
            assert process.poll() is None
            holder.rollback()
            assert process.wait(60) == 0
    assert execute_sql("SELECT to_regclass('django_session')") == [(None,)]
    assert manage("migrate", "sessions").returncode == 0


def test_one_process_at_a_time_migrates_a_database(manage: Manage) -> None:
    with migration_lock("default", SECOND, print):
        process = manage.popen("migrate", stdout=PIPE, stderr=PIPE)
        assert process.stderr
        assert process.stderr.readline().endswith(" is migrating this database. Waiting for it.\n")
        assert process.poll() is None
    with process:
        assert process.wait(60) == 0


def test_a_plan_waits_for_nobody(manage: Manage) -> None:
    with migration_lock("default", SECOND, print):
        assert manage("migrate", "--plan").returncode == 0
        assert manage("migrate", "--check").returncode == 0


def test_the_timeouts_end_with_the_block() -> None:
    before = settings()
    with session().timeouts():
        assert settings() == ["1s", "5s"]
    assert settings() == before == ["0", "0"]


def test_timeouts_that_are_set_already_are_kept() -> None:
    execute("SET lock_timeout = '2s'")
    with session().timeouts():
        assert settings() == ["2s", "5s"]
    assert settings() == ["2s", "0"]
    execute("RESET lock_timeout")


def test_a_statement_that_locks_a_table_for_long_is_stopped(reports: list[str]) -> None:

    def work() -> None:
        with transaction.atomic():
            execute("LOCK TABLE trials_thing; SELECT pg_sleep(30)")

    with pytest.raises(
        MigrationBlocked, match=r"canceling statement .* --statement-timeout 10min.* manage.py migrate"
    ):
        session().migrate(work)


@pytest.mark.usefixtures("slow_function")
def test_validating_a_constraint_may_take_long(reports: list[str]) -> None:
    create_things(5)
    execute("ALTER TABLE trials_thing ADD CONSTRAINT slowly CHECK (slow(score) >= 0) NOT VALID")
    try:
        with transaction.atomic():
            execute("ALTER TABLE trials_thing VALIDATE CONSTRAINT slowly")
            assert settings() == ["50ms", "200ms"]
        assert execute_sql("SELECT convalidated FROM pg_constraint WHERE conname = 'slowly'") == [(True,)]
    finally:
        execute("ALTER TABLE trials_thing DROP CONSTRAINT slowly")


@pytest.mark.usefixtures("slow_function")
def test_a_concurrent_build_may_take_long(reports: list[str]) -> None:
    create_things(5)
    execute("CREATE INDEX CONCURRENTLY slowly ON trials_thing (slow(score))")
    assert (index_state("slowly"), settings()) == ([(True,)], ["50ms", "200ms"])


def test_a_transaction_timeout_of_the_role_does_not_end_a_build(reports: list[str]) -> None:
    if connection.pg_version < 170000:  # type: ignore[attr-defined]
        pytest.skip("transaction_timeout came with PostgreSQL 17")
    create_things(1)
    execute("SET transaction_timeout = '300ms'")
    with player() as other:
        other.execute("UPDATE trials_thing SET score = score")
        release = Thread(target=lambda: release_build(other))
        release.start()
        execute("CREATE INDEX CONCURRENTLY IF NOT EXISTS waits ON trials_thing (score)")
        release.join()
    execute("RESET transaction_timeout")
    assert index_state("waits") == [(True,)]
    execute("DROP INDEX waits")


def release_build(other: "psycopg.Connection[Any]") -> None:
    try:
        wait_until(lambda: execute_sql(IS_WAITING))
    finally:
        other.rollback()
        connection.close()


def test_a_concurrent_build_waits_for_older_transactions(reports: list[str]) -> None:
    create_things(1)
    with player() as other:
        other.execute("UPDATE trials_thing SET score = score")
        build = Thread(target=lambda: build_beside(reports))
        build.start()
        wait_until(lambda: execute_sql(IS_WAITING))
        other.rollback()
        build.join()
    assert index_state("waits") == [(True,)]
    execute("DROP INDEX waits")


def build_beside(reports: list[str]) -> None:
    try:
        with session(reports.append).timeouts():
            execute("CREATE INDEX CONCURRENTLY IF NOT EXISTS waits ON trials_thing (score)")
    finally:
        connection.close()


@pytest.mark.parametrize("clause", ["", "IF NOT EXISTS "])
def test_an_invalid_index_of_a_failed_build_is_built_anew(reports: list[str], clause: str) -> None:
    first, _ = create_things(2, note="twice")
    statement = f'CREATE UNIQUE INDEX CONCURRENTLY {clause}"one note" ON trials_thing (note)'
    with player() as other:
        other.autocommit = True
        with pytest.raises(psycopg.errors.UniqueViolation):
            other.execute(statement)
    assert index_state('"one note"') == [(False,)]
    Thing.objects.filter(pk=first.pk).update(note="once")
    execute(statement)
    assert index_state('"one note"') == [(True,)]
    assert reports == ['Dropping the index "one note": an earlier build failed and left it invalid.']
    execute('DROP INDEX "one note"')


def test_an_index_that_another_session_builds_is_waited_for() -> None:
    create_things(1)
    reports: list[str] = []
    with player() as holder, player() as other:
        holder.execute("UPDATE trials_thing SET score = score")
        other.rollback()
        other.autocommit = True
        statement = "CREATE INDEX CONCURRENTLY waits ON trials_thing (score)"
        build = Thread(target=lambda: other.execute(statement))
        build.start()
        wait_until(lambda: index_state("waits") == [(False,)])
        second = Thread(target=lambda: build_beside(reports))
        second.start()
        wait_until(lambda: reports)
        holder.rollback()
        build.join()
        second.join()
    assert len(reports) == 1
    assert re.fullmatch(
        r"The index waits is invalid, and process \d+ builds it .* Waiting for it\.", reports[0]
    )
    assert index_state("waits") == [(True,)]
    execute("DROP INDEX waits")


@pytest.mark.usefixtures("slow_function")
@pytest.mark.parametrize("comment", ["\n-- players search by it\n", "/* two;\nlines */ ", "--\n/**/\n"])
def test_a_comment_before_the_statement_changes_nothing(reports: list[str], comment: str) -> None:
    create_things(5)
    execute(f"{comment}CREATE INDEX CONCURRENTLY slowly ON trials_thing (slow(score))")
    assert index_state("slowly") == [(True,)]


@pytest.mark.usefixtures("slow_function")
def test_validation_under_an_exclusive_lock_is_stopped_in_time(reports: list[str]) -> None:
    create_things(5)
    with transaction.atomic():
        execute("ALTER TABLE trials_thing ADD CONSTRAINT slowly CHECK (slow(score) >= 0) NOT VALID")
        with pytest.raises(OperationalError, match="statement timeout"), transaction.atomic():
            execute("ALTER TABLE trials_thing VALIDATE CONSTRAINT slowly")
        transaction.set_rollback(True)


@pytest.mark.usefixtures("slow_function")
def test_validation_with_other_changes_is_stopped_in_time(reports: list[str]) -> None:
    create_things(5)
    execute("ALTER TABLE trials_thing ADD CONSTRAINT slowly CHECK (slow(score) >= 0) NOT VALID")
    with pytest.raises(MigrationBlocked, match="statement timeout"):
        execute("ALTER TABLE trials_thing ADD COLUMN later integer, VALIDATE CONSTRAINT slowly")


def test_a_transaction_in_raw_sql_is_not_retried_when_it_is_aborted(reports: list[str]) -> None:
    with player() as other:
        other.execute("LOCK TABLE trials_thing IN ACCESS SHARE MODE")
        with pytest.raises(MigrationBlocked, match="Other sessions held a lock"):
            execute("BEGIN; ALTER TABLE trials_thing ADD COLUMN later integer; COMMIT")
        other.rollback()
    connection.connection.rollback()


def test_a_second_process_gives_up_waiting_for_the_first(manage: Manage) -> None:
    with migration_lock("default", SECOND, print):
        done = manage.process("migrate", "--retry-for", "0")
    assert done.returncode == 1
    assert re.match(r"CommandError: Process \d+ is migrating this database\. Then: ", done.stderr)


def test_a_valid_index_of_that_name_is_left_alone(reports: list[str]) -> None:
    execute("CREATE INDEX there ON trials_thing (score)")
    with pytest.raises(Exception, match='relation "there" already exists'):
        execute("CREATE INDEX CONCURRENTLY there ON trials_thing (note)")
    assert (index_state("there"), reports) == ([(True,)], [])
    execute("DROP INDEX there")


def test_outside_a_transaction_a_statement_is_retried_by_itself(reports: list[str]) -> None:
    """Those before it are committed, so that the migration cannot begin again."""
    with player() as other:
        other.execute("LOCK TABLE trials_thing IN ACCESS SHARE MODE")
        release = Thread(target=lambda: (wait_until(lambda: reports), other.rollback()))
        release.start()
        execute("ALTER TABLE trials_thing ADD COLUMN later integer")
        release.join()
    assert len(reports) == 1
    execute("ALTER TABLE trials_thing DROP COLUMN later")


def test_inside_a_transaction_the_error_is_raised(reports: list[str]) -> None:
    with player() as other:
        other.execute("LOCK TABLE trials_thing IN ACCESS SHARE MODE")
        with pytest.raises(OperationalError) as raised, transaction.atomic():
            execute("ALTER TABLE trials_thing ADD COLUMN later integer")
        other.rollback()
    assert (sqlstate(raised.value), reports) == (LOCK_NOT_AVAILABLE, [])


def test_queries_of_the_migration_are_not_disturbed(reports: list[str]) -> None:
    with CaptureQueriesContext(connection) as queries:
        execute("SELECT 1")
    assert [query["sql"] for query in queries] == ["SELECT 1"]
