"""Who wrote through the old column is recorded, without a wait or an error for the writer."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection, models
from django.db.models.functions import Now
from django.utils import timezone

from ops.models import ColumnWriter
from ops.sql.dual_write import dual_writes_off
from ops.workers.reaper import reap
from tests.ops.changing import MigratedTable
from tests.ops.dual_writing import Change, dual_written
from tests.ops.running import execute_sql, player

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

TEXT = Change(models.CharField(max_length=32), models.CharField(max_length=64, null=True), [], [])
INSERT = "INSERT INTO shop_item (value) VALUES ('a')"
BY_OLD, BY_NEW = "UPDATE shop_item SET value = value", "UPDATE shop_item SET value_v2 = 'b'"
LEVELS = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]


@pytest.fixture
def item() -> Iterator[MigratedTable]:
    with dual_written(TEXT, spare=models.IntegerField(default=0, db_default=0)) as table:
        execute_sql(INSERT)
        forget_writers()
        yield table


def forget_writers() -> None:
    """Forget what was recorded, in the table and in this session."""
    ColumnWriter.objects.all().delete()
    execute_sql(
        "SELECT set_config('ops.writer_trial', '', false), set_config('ops.writer_minute_trial', '', false)"
    )


def remember_earlier_writes(*names: str) -> None:
    """Add two writes of each name, so that the earlier one is to be deleted."""
    for name in names:
        for minutes in (5, 4):
            written_at = timezone.now() - timedelta(minutes=minutes)
            ColumnWriter.objects.create(change="trial", application_name=name, last_written_at=written_at)


def writers() -> list[str]:
    return sorted(ColumnWriter.objects.values_list("application_name", flat=True))


def named(other: "psycopg.Connection[Any]", name: str, level: str = "READ COMMITTED") -> None:
    other.autocommit = True
    other.execute("SELECT set_config('application_name', %s, false)", [name])
    other.execute(f"SET default_transaction_isolation = '{level}'")
    other.execute("SET lock_timeout = '1ms'; SET statement_timeout = '30s'")
    other.autocommit = False


@pytest.mark.parametrize(
    ("statement", "is_recorded"),
    [
        (INSERT, True),
        ("INSERT INTO shop_item (value, value_v2) VALUES ('a', 'b')", True),
        ("INSERT INTO shop_item (value_v2) VALUES ('a')", False),
        (BY_OLD, True),
        ("UPDATE shop_item SET value = 'b', value_v2 = 'b'", True),
        (BY_NEW, False),
        ("UPDATE shop_item SET spare = 1", False),
        ("DELETE FROM shop_item", False),
        (
            "INSERT INTO shop_item (id, value_v2) VALUES (1, 'a') ON CONFLICT (id) DO UPDATE SET value = 'c'",
            True,
        ),
    ],
)
@pytest.mark.parametrize("level", LEVELS)
def test_a_statement_that_names_the_old_column_is_recorded(
    item: MigratedTable, statement: str, is_recorded: bool, level: str
) -> None:
    with player() as other:
        named(other, "old code", level)
        other.execute(statement)
        other.commit()
    assert writers() == ["old code"] * is_recorded


def test_a_load_with_dual_writes_off_is_not_recorded(item: MigratedTable) -> None:
    with dual_writes_off():
        execute_sql(INSERT)
        execute_sql(BY_OLD)
    assert writers() == []


@pytest.mark.parametrize("level", LEVELS)
def test_nobody_waits_for_a_session_idle_in_a_transaction(item: MigratedTable, level: str) -> None:
    for _ in range(2):
        execute_sql(INSERT)
    forget_writers()
    remember_earlier_writes("same name")
    with player() as idle, player() as other:
        for number, (session, its_level) in enumerate([(idle, level), (other, "READ COMMITTED")], 1):
            named(session, "same name", its_level)
            session.execute("UPDATE shop_item SET value = 'x' WHERE id = %s", [number])
        other.commit()
        named(other, "other name", level)
        other.execute("UPDATE shop_item SET value = 'y' WHERE id = 3")
        other.commit()
        assert "other name" in writers()
        idle.commit()
    assert set(writers()) == {"same name", "other name"}


@pytest.mark.parametrize("level", LEVELS)
def test_recording_never_fails_a_transaction(item: MigratedTable, level: str) -> None:
    """Each session changes a row of its own after all have their snapshot, so nothing else can fail them."""
    keys = [item.model.objects.create(value="a").pk for _ in range(4)]
    forget_writers()
    remember_earlier_writes("code 0", "code 1")
    started_at = timezone.now() - timedelta(minutes=1)
    sessions = [psycopg.connect(player_url(), autocommit=False) for _ in keys]
    try:
        for number, session in enumerate(sessions):
            named(session, f"code {number % 2}", level)
            session.execute("SELECT 1")
        for key, session in zip(keys, sessions, strict=True):
            session.execute("UPDATE shop_item SET value = 'b' WHERE id = %s", [key])
        for session in sessions:
            session.commit()
    finally:
        for session in sessions:
            session.close()
    written = ColumnWriter.objects.filter(last_written_at__gt=started_at)
    assert {*written.values_list("application_name", flat=True)} == {"code 0", "code 1"}


def player_url() -> str:
    with player() as other:
        return f"{other.info.dsn} password={other.info.password}"


def test_a_name_has_one_row_and_one_write_a_minute(item: MigratedTable) -> None:
    for _ in range(3):
        with player() as other:
            named(other, "busy")
            for _ in range(3):
                other.execute(BY_OLD)
                other.commit()
    [first] = ColumnWriter.objects.values_list("pk", flat=True)
    ColumnWriter.objects.update(last_written_at=Now() - timedelta(minutes=5))
    with player() as other:
        named(other, "busy", "REPEATABLE READ")
        other.execute("SELECT set_config('ops.writer_minute_trial', 'an earlier minute', false)")
        other.execute(BY_OLD)
        other.commit()
    assert len(writers()) == 2, "above READ COMMITTED rows are only added"
    ColumnWriter.objects.update(last_written_at=Now() - timedelta(minutes=2))
    ColumnWriter.objects.filter(pk=first).update(last_written_at=Now() - timedelta(minutes=5))
    with player() as other:
        named(other, "busy")
        other.execute(BY_OLD)
        other.commit()
    [left] = ColumnWriter.objects.all()
    assert left.pk not in {first}


def test_the_reaper_forgets_all_but_the_last_write_of_each(item: MigratedTable) -> None:
    remember_earlier_writes("nightly", "web")
    locked = ColumnWriter.objects.order_by("pk")[0]
    with player() as other:
        other.execute("SELECT FROM ops_column_writer WHERE id = %s FOR UPDATE", [locked.pk])
        reap()
        assert writers() == ["nightly", "nightly", "web"]
    reap()
    assert writers() == ["nightly", "web"]


def test_names_are_bounded(item: MigratedTable) -> None:
    with player() as other:
        for number in range(105):
            named(other, f"pid {number}")
            other.execute(BY_OLD)
            other.commit()
    found = writers()
    assert len(found) == 101
    assert found.count("(others)") == 1


def test_one_session_may_have_several_names_in_turns(item: MigratedTable) -> None:
    with player() as pooled:
        for name in ("web", "worker", "web", "shell"):
            named(pooled, name)
            pooled.execute(BY_OLD)
            pooled.commit()
        pooled.execute("SET LOCAL application_name = 'nightly'")
        pooled.execute(BY_OLD)
        pooled.commit()
    assert writers() == ["nightly", "shell", "web", "worker"]


@pytest.mark.parametrize("undo", ["ROLLBACK TO s", "ROLLBACK"])
def test_a_write_that_is_rolled_back_hides_no_later_one(item: MigratedTable, undo: str) -> None:
    with player() as other:
        named(other, "retry")
        other.execute("SELECT 1")
        other.execute("SAVEPOINT s")
        other.execute(BY_OLD)
        other.execute(undo)
        other.commit()
        assert writers() == []
        other.execute(BY_OLD)
        other.commit()
    assert writers() == ["retry"]


def test_a_lock_on_the_list_of_writers_delays_nobody(item: MigratedTable) -> None:
    with player() as migrating, player() as other:
        migrating.execute("LOCK TABLE ops_column_writer IN ACCESS EXCLUSIVE MODE")
        named(other, "old code")
        other.execute("SET LOCAL lock_timeout = 0")
        other.execute("UPDATE shop_item SET value = 'z'")
        other.commit()
    assert item.model.objects.get().value_v2 == "z"


def test_a_role_needs_no_right_on_the_list_nor_its_search_path(item: MigratedTable) -> None:
    execute_sql(
        "CREATE ROLE trial_player; CREATE SCHEMA trial_schema;"
        "GRANT USAGE, CREATE ON SCHEMA trial_schema TO trial_player;"
        "ALTER TABLE shop_item SET SCHEMA trial_schema;"
        "GRANT ALL ON trial_schema.shop_item TO trial_player; GRANT TEMPORARY ON DATABASE"
        f" {connection.ops.quote_name(connection.settings_dict['NAME'])} TO trial_player;"
        "REVOKE USAGE ON SCHEMA public FROM PUBLIC"
    )
    try:
        with player() as other:
            named(other, "as a role")
            other.execute("SET ROLE trial_player; SET search_path = trial_schema, pg_catalog")
            other.execute("CREATE TEMP TABLE ops_column_writer (change text, application_name text)")
            other.execute("UPDATE shop_item SET value = 'r'")
            other.execute("UPDATE shop_item SET value_v2 = 's'")
            other.commit()
        assert execute_sql("SELECT value, value_v2 FROM trial_schema.shop_item") == [("s", "s")]
        assert writers() == ["as a role"]
    finally:
        execute_sql(
            "GRANT USAGE ON SCHEMA public TO PUBLIC; ALTER TABLE trial_schema.shop_item SET SCHEMA public;"
            "DROP OWNED BY trial_player; DROP SCHEMA trial_schema CASCADE; DROP ROLE trial_player"
        )


def test_the_reaper_keeps_the_last_hundred_names(item: MigratedTable) -> None:
    """A SERIALIZABLE transaction cannot count the names when it adds its own."""
    now = timezone.now()
    ColumnWriter.objects.bulk_create(
        ColumnWriter(change=change, application_name=f"pid {n}", last_written_at=now - timedelta(minutes=n))
        for change in ("trial", "another")
        for n in range(105)
    )
    reap()
    for change in ("trial", "another"):
        kept = ColumnWriter.objects.filter(change=change).values_list("application_name", flat=True)
        assert set(kept) == {f"pid {n}" for n in range(101)}
