"""The linter of `preflight`: it judges the SQL that Django would run."""

from functools import cache

import pytest
from django.apps import apps
from django.contrib.postgres.functions import RandomUUID
from django.contrib.postgres.operations import AddConstraintNotValid, AddIndexConcurrently
from django.db import models
from django.db.migrations import (
    AddConstraint,
    AddField,
    AddIndex,
    AlterField,
    CreateModel,
    Migration,
    RemoveField,
    RenameField,
    RunPython,
    RunSQL,
    SeparateDatabaseAndState,
)
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models.functions import Now

from ops.column_changes.migration_operations import AddDualWrite, DropColumn
from ops.column_changes.retire_operations import RetireWatchedColumn
from ops.migrate import rules
from ops.preflight.unsafe import lint_migration
from ops.sql.dual_write import DualWrite
from ops.sql.watched_column import WatchedColumn
from tests.ops.running import create_things

pytestmark = pytest.mark.django_db

INDEX = models.Index(fields=["score"], name="trials_score")
POSITIVE = models.CheckConstraint(condition=models.Q(score__gt=0), name="trials_positive")
ONE = models.UniqueConstraint(fields=["name"], name="trials_one_name")


@cache
def current_state() -> ProjectState:
    return ProjectState.from_apps(apps)


def lint(*operations: Operation, atomic: bool = True) -> list[tuple[str, str]]:
    """Return the severity and the reason of every unsafe step."""
    migration = Migration("0099_trial", "trials")
    migration.operations, migration.atomic = list(operations), atomic
    return [(str(each.severity), each.reason) for each in lint_migration(migration, current_state())]


@pytest.fixture
def large_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a table with one page of rows count as large."""
    monkeypatch.setattr(rules, "LARGE_TABLE_BYTES", 8192)
    create_things(1)


@pytest.mark.usefixtures("large_table")
@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (AlterField("thing", "score", models.BigIntegerField()), "rewrites the table"),
        (AlterField("thing", "note", models.CharField(max_length=5)), "rewrites the table"),
        (AddField("thing", "code", models.UUIDField(db_default=RandomUUID())), "rewrites the table"),
        (AddField("thing", "code", models.IntegerField()), "fails if the table has rows"),
        (RenameField("thing", "score", "points"), "knows only the old name"),
        (RunSQL("UPDATE trials_thing SET score = 2", ""), "locks every row that it changes"),
        (RunSQL("ALTER TABLE trials_thing\n  ADD CHECK (score > 0)", ""), "every row is checked"),
        (RunSQL("CREATE INDEX ON trials_thing (note)", ""), "while the index is built"),
        (RunSQL("VACUUM FULL trials_thing", ""), "rewrites the table"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_blocks_players_at_a_large_table_is_red(operation: Operation, reason: str) -> None:
    assert [text for severity, text in lint(operation) if severity == "red" and reason in text]


def test_a_small_table_makes_it_yellow_unless_it_fails_or_breaks_code() -> None:
    create_things(1)
    assert lint(RunSQL("CREATE INDEX ON trials_thing (note)", "")) == [
        ("yellow", "blocks writes to the table while the index is built")
    ]
    assert lint(RenameField("thing", "score", "points"))[0][0] == "red"
    assert lint(AddField("thing", "code", models.IntegerField()))[0][0] == "red"


@pytest.mark.usefixtures("large_table")
def test_what_is_quick_on_any_table_is_not_reported() -> None:
    harmless = [
        AddField("thing", "code", models.IntegerField(null=True)),
        AddField("thing", "rank", models.IntegerField(db_default=3)),
        AddField("thing", "seen_at", models.DateTimeField(db_default=Now())),
        AlterField("thing", "note", models.CharField(max_length=64, null=True)),
        AlterField("thing", "name", models.TextField()),
        AlterField("thing", "note", models.CharField(max_length=10)),
        AddIndex("thing", INDEX),
        AddConstraint("thing", POSITIVE),
        AddConstraint("thing", ONE),
        AddConstraintNotValid("thing", POSITIVE),
        RunSQL("DROP INDEX trials_thing_pkey", ""),
        CreateModel(
            "other",
            [("id", models.BigAutoField(primary_key=True)), ("score", models.IntegerField(db_index=True))],
            {"constraints": [models.UniqueConstraint(fields=["score"], name="trials_other")]},
        ),
        AddDualWrite(DualWrite("score", "trials_thing", "score", "rank", "{old}", "{new}", default="1")),
        RetireWatchedColumn("thing", "note", WatchedColumn("note", "trials_thing", "note"), "note__retired"),
        DropColumn(WatchedColumn("note", "trials_thing", "note__retired")),
        RunSQL("CREATE FUNCTION twice(x int) RETURNS int LANGUAGE sql AS $$ SELECT x * 2; $$", ""),
    ]
    assert lint(*harmless) == []


@pytest.mark.django_db(transaction=True)
def test_a_concurrent_index_is_safe_in_any_migration() -> None:
    assert lint(AddIndexConcurrently("thing", INDEX), atomic=False) == []
    assert lint(AddIndexConcurrently("thing", INDEX)) == []


def test_what_breaks_running_code_or_cannot_be_reversed_is_yellow() -> None:
    missing = [
        RemoveField("thing", "score"),
        AddField("thing", "rank", models.IntegerField(default=3)),
        SeparateDatabaseAndState([RunPython(RunPython.noop)]),
    ]
    assert lint(*missing) == [
        ("yellow", "its changes cannot be known in advance"),
        ("yellow", "cannot be migrated back"),
        ("yellow", "deletes its values, and code that still runs uses it"),
        ("yellow", "code that does not know the column can no longer add rows"),
    ]
