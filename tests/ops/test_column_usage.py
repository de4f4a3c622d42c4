"""Who still uses the old column of a change: recorded writers, and hints of readers."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.db.models import Model

from ops.column_changes import ColumnChange
from ops.column_changes.usage import database as usage
from ops.column_changes.usage.database import HINT, MAX_FOUND, list_readers, list_writers
from ops.models import ColumnWriter
from tests.debian import DebianPostgres, connect_django_to_server, require_debian_postgres
from tests.ops.running import execute_sql, override_connection, player
from tests.trials.models import Elsewhere, Odd, Thing

PRELOADED = {"shared_preload_libraries": "pg_stat_statements"}


def declare_change(model: type[Model], old: str, new: str) -> type[ColumnChange]:
    return type("Trial", (ColumnChange,), {"name": "trial", "model": model, "old": old, "new": new})


NOTE = declare_change(Thing, "note", "name")


def found_statements(change: type[ColumnChange]) -> dict[str, int]:
    return {each.query: each.calls for each in list_readers(change).statements}


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianPostgres]:
    """Debian's PostgreSQL with pg_stat_statements loaded; the extension is not created yet."""
    require_debian_postgres()
    server = DebianPostgres(tmp_path_factory.mktemp("debian"), PRELOADED)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def statements(debian: DebianPostgres, db: None) -> Iterator[DebianPostgres]:
    """Connect Django to a database with the table and the extension, which has counted nothing yet."""
    with connect_django_to_server(debian):
        execute_sql(
            'DROP EXTENSION IF EXISTS pg_stat_statements; DROP SCHEMA IF EXISTS "Odd one" CASCADE;'
            'DROP TABLE IF EXISTS trials_thing; DROP SCHEMA IF EXISTS "Other schema" CASCADE;'
            'CREATE SCHEMA "Odd one"; CREATE EXTENSION pg_stat_statements SCHEMA "Odd one";'
            "CREATE TABLE trials_thing (id int, name text, note text,"
            ' note_v2 text, v_note text, "Note" text);'
            'SELECT "Odd one".pg_stat_statements_reset()'
        )
        yield debian


@contextmanager
def plain_role() -> Iterator[None]:
    """Connect as a role without any rights but to read the view, where it is found."""
    execute_sql("DROP ROLE IF EXISTS plain; CREATE ROLE plain LOGIN PASSWORD 'plain'")
    with override_connection(USER="plain", PASSWORD="plain"):
        yield


@pytest.mark.django_db
def test_writers_are_listed_once_each_the_newest_first() -> None:
    times = [datetime(2026, 11, day, tzinfo=UTC) for day in (1, 2, 3)]
    for change, name, when in [
        ("trial", "web", times[0]),
        ("trial", "web", times[2]),
        ("trial", "psql", times[1]),
        ("another", "cron", times[2]),
    ]:
        ColumnWriter.objects.create(change=change, application_name=name, last_written_at=when)
    found = [(writer.application_name, writer.last_written_at) for writer in list_writers(NOTE)]
    assert found == [("web", times[2]), ("psql", times[1])]


def test_statements_that_name_column_and_table_are_counted(statements: DebianPostgres) -> None:
    for value in ("a", "b"):
        execute_sql('SELECT "trials_thing"."note" FROM "trials_thing" WHERE name = %s', value)
    execute_sql("UPDATE Trials_Thing\n  SET NOTE = 'x'")
    for other in (
        "SELECT note_v2, v_note FROM trials_thing",
        'SELECT "Note" FROM trials_thing',
        "SELECT name FROM trials_thing WHERE name = 'note'",
        "SELECT 1 AS note",
        "COMMENT ON COLUMN trials_thing.note IS 'old'",
    ):
        execute_sql(other)
    readers = list_readers(NOTE)
    assert [(each.query, each.calls, each.users) for each in readers.statements] == [
        ('SELECT "trials_thing"."note" FROM "trials_thing" WHERE name = $1', 2, ["kyndo"]),
        ("UPDATE Trials_Thing SET NOTE = $1", 1, ["kyndo"]),
    ]
    assert readers.notes == [HINT]


def test_names_that_need_quotes_are_found_with_them_only(statements: DebianPostgres) -> None:
    execute_sql(
        'CREATE TEMP TABLE "Odd things, in Order;" (id int, "The Title" text, "select" text);'
        'CREATE SCHEMA "Other schema"; CREATE TABLE "Other schema".changed (code text, "order" text)'
    )
    odd, ordered = declare_change(Odd, "copy", "title"), declare_change(Elsewhere, "note", "after")
    naming = 'SELECT o."select" FROM "Odd things, in Order;" o'
    after_dot = 'SELECT changed.order FROM "Other schema".changed'
    for statement in (
        naming,
        'SELECT "The Title" FROM "Odd things, in Order;"',
        after_dot,
        'SELECT code FROM "Other schema"."changed" ORDER BY code',
    ):
        execute_sql(statement)
    assert found_statements(odd) == {naming: 1}
    assert found_statements(ordered) == {after_dot: 1}


def test_a_name_with_capitals_needs_its_quotes(statements: DebianPostgres) -> None:
    execute_sql('SELECT "Note" FROM trials_thing')
    execute_sql("SELECT Note FROM trials_thing LIMIT 1")
    assert found_statements(declare_change(Thing, "Note", "name")) == {'SELECT "Note" FROM trials_thing': 1}


def test_a_call_inside_a_function_is_added_to_those_outside(statements: DebianPostgres) -> None:
    execute_sql("SELECT note FROM trials_thing")
    execute_sql(
        "SET pg_stat_statements.track = 'all';"
        "DO $$ DECLARE found text; BEGIN SELECT note FROM trials_thing INTO found; END $$"
    )
    statement = next(each for each in list_readers(NOTE).statements if each.query.startswith("SELECT"))
    assert (statement.calls, statement.users) == (2, ["kyndo"])


def test_statements_of_other_databases_are_not_counted(statements: DebianPostgres) -> None:
    with override_connection(NAME="postgres"):
        execute_sql("CREATE TABLE IF NOT EXISTS trials_thing (note text)")
        execute_sql("SELECT note FROM trials_thing")
        readers = list_readers(NOTE)
    assert readers.statements == []
    assert list_readers(NOTE) == usage.Readers([], [], [HINT])


def test_a_select_star_hides_the_same_columns_by_name(statements: DebianPostgres) -> None:
    """What PostgreSQL does, and the hint says; an alias is the other way round."""
    execute_sql("SELECT * FROM trials_thing")
    execute_sql('SELECT id, name, note, note_v2, v_note, "Note" FROM trials_thing')
    assert found_statements(NOTE) == {}
    execute_sql("SELECT note AS one FROM trials_thing")
    execute_sql("SELECT t.note AS two FROM trials_thing t")
    assert found_statements(NOTE) == {"SELECT note AS one FROM trials_thing": 2}


def test_a_long_list_is_cut_and_says_so(statements: DebianPostgres) -> None:
    for number in range(MAX_FOUND + 1):
        execute_sql(f"SELECT note{', 1' * number} FROM trials_thing")
    readers = list_readers(NOTE)
    assert len(readers.statements) == MAX_FOUND
    assert readers.notes == [HINT, f"Only {MAX_FOUND} statements are listed; there are more."]


def test_statements_of_other_roles_are_hidden_from_a_plain_role(statements: DebianPostgres) -> None:
    execute_sql("SELECT note FROM trials_thing")
    execute_sql('GRANT USAGE ON SCHEMA "Odd one" TO PUBLIC')
    with plain_role():
        readers = list_readers(NOTE)
        assert readers.statements == []
        assert any("hidden" in note and "GRANT pg_read_all_stats TO plain" in note for note in readers.notes)
    execute_sql("GRANT pg_read_all_stats TO plain")
    with override_connection(USER="plain", PASSWORD="plain"):
        assert found_statements(NOTE) == {"SELECT note FROM trials_thing": 1}


def test_a_role_that_may_not_read_the_extension_gets_a_note(statements: DebianPostgres) -> None:
    with plain_role():
        [_, note, *_] = list_readers(NOTE).notes
    assert note == "pg_stat_statements cannot be read: permission denied for schema Odd one"


def test_an_extension_without_its_library_gets_a_note(
    debian: DebianPostgres, monkeypatch: pytest.MonkeyPatch, db: None
) -> None:
    monkeypatch.setattr(debian, "settings", {})
    debian.stop()
    debian.start()
    with connect_django_to_server(debian):
        execute_sql("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        [_, note] = list_readers(NOTE).notes
    monkeypatch.undo()
    debian.stop()
    debian.start()
    assert note.startswith("pg_stat_statements cannot be read: pg_stat_statements must be loaded via")


@pytest.mark.django_db
def test_a_server_without_the_extension_gets_a_note() -> None:
    if execute_sql("SELECT 1 FROM pg_extension WHERE extname = 'pg_stat_statements'"):
        pytest.skip("this database has pg_stat_statements")
    readers = list_readers(NOTE)
    assert readers.statements == []
    assert readers.notes == [
        HINT,
        "This database has no extension pg_stat_statements, which counts statements."
        " How to get it: manage.py db_stats",
    ]


@pytest.mark.django_db(transaction=True)
def test_a_query_that_takes_too_long_gets_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "_TIMEOUT", timedelta(milliseconds=50))
    with player() as other:
        other.execute("LOCK TABLE pg_extension IN ACCESS EXCLUSIVE MODE")
        readers = list_readers(NOTE)
    assert "pg_stat_statements cannot be read: canceling statement due to statement timeout" in readers.notes
    assert execute_sql("SELECT 1") == [(1,)]


@pytest.mark.django_db(transaction=True)
def test_a_session_whose_last_statement_names_the_column_is_listed() -> None:
    with player() as reader, player() as other:
        reader.execute("SET application_name = 'old web'")
        other.execute("SELECT name FROM trials_thing")
        reader.execute("SELECT note\n FROM trials_thing WHERE name = 'x'")
        [session] = list_readers(NOTE).sessions
        [(since,)] = execute_sql(
            "SELECT query_start FROM pg_stat_activity WHERE pid = %s", reader.info.backend_pid
        )
    assert (session.application_name, session.user) == ("old web", connection.settings_dict["USER"])
    assert (session.state, session.since) == ("idle in transaction", since)
    assert session.query == "SELECT note FROM trials_thing WHERE name = 'x'"


@pytest.mark.django_db(transaction=True)
def test_a_transaction_and_its_timeout_are_left_as_they_were() -> None:
    before = execute_sql("SHOW statement_timeout")
    list_readers(NOTE)
    assert execute_sql("SHOW statement_timeout") == before
    assert not connection.in_atomic_block
