"""What preflight calls unsafe in a migration: the SQL that Django would run is what is judged."""

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

from ops.preflight import unsafe
from ops.preflight.unsafe import lint_migration
from tests.ops.running import create_things

pytestmark = pytest.mark.django_db

INDEX = models.Index(fields=["score"], name="trials_score")
POSITIVE = models.CheckConstraint(condition=models.Q(score__gt=0), name="trials_positive")
ONE = models.UniqueConstraint(fields=["name"], name="trials_one_name")


@cache
def before() -> ProjectState:
    return ProjectState.from_apps(apps)


def found(*operations: Operation, atomic: bool = True) -> list[tuple[str, str]]:
    """The severity and the reason of everything that is not safe."""
    migration = Migration("0099_trial", "trials")
    migration.operations, migration.atomic = list(operations), atomic
    return [(str(each.severity), each.reason) for each in lint_migration(migration, before())]


@pytest.fixture
def big(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table with a page of rows counts as big."""
    monkeypatch.setattr(unsafe, "LARGE_TABLE_BYTES", 8192)
    create_things(1)


@pytest.mark.usefixtures("big")
@pytest.mark.parametrize(
    ("operation", "why"),
    [
        (AddIndex("thing", INDEX), "nobody writes the table while the index is built"),
        (AlterField("thing", "score", models.BigIntegerField()), "the table is rewritten"),
        (AlterField("thing", "note", models.CharField(max_length=5)), "the table is rewritten"),
        (AddField("thing", "code", models.UUIDField(db_default=RandomUUID())), "the table is rewritten"),
        (AddField("thing", "code", models.IntegerField()), "fails where the table has rows"),
        (AlterField("thing", "note", models.CharField(max_length=10)), "scanned for NULLs"),
        (AddConstraint("thing", POSITIVE), "nobody writes the table while every row is checked"),
        (AddConstraint("thing", ONE), "while its index is built"),
        (RenameField("thing", "score", "points"), "knows only the old name"),
        (RunSQL("UPDATE trials_thing SET score = 2", ""), "locks every row that it changes"),
        (RunSQL("ALTER TABLE trials_thing\n  ADD CHECK (score > 0)", ""), "every row is checked"),
        (RunSQL("DROP INDEX trials_thing_pkey", ""), "everybody waits for it"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_stops_players_at_a_big_table_is_red(operation: Operation, why: str) -> None:
    assert [told for severity, told in found(operation) if severity == "red" and why in told]


def test_the_same_at_a_small_table_is_yellow_but_for_what_fails_or_breaks_running_code() -> None:
    create_things(1)
    assert found(AddIndex("thing", INDEX)) == [("yellow", "nobody writes the table while the index is built")]
    assert found(RenameField("thing", "score", "points"))[0][0] == "red"
    assert found(AddField("thing", "code", models.IntegerField()))[0][0] == "red"


@pytest.mark.usefixtures("big")
def test_what_takes_a_moment_on_any_table_is_not_told() -> None:
    harmless = [
        AddField("thing", "code", models.IntegerField(null=True)),
        AddField("thing", "rank", models.IntegerField(db_default=3)),
        AddField("thing", "seen_at", models.DateTimeField(db_default=Now())),
        AlterField("thing", "note", models.CharField(max_length=64, null=True)),
        AlterField("thing", "name", models.TextField()),
        AddConstraintNotValid("thing", POSITIVE),
        CreateModel(
            "other",
            [("id", models.BigAutoField(primary_key=True)), ("score", models.IntegerField(db_index=True))],
            {"constraints": [models.UniqueConstraint(fields=["score"], name="trials_other")]},
        ),
        RunSQL("CREATE FUNCTION twice(x int) RETURNS int LANGUAGE sql AS $$ SELECT x * 2; $$", ""),
    ]
    assert found(*harmless) == []


@pytest.mark.django_db(transaction=True)
def test_an_index_made_concurrently_is_safe_outside_a_transaction_and_refused_inside() -> None:
    assert found(AddIndexConcurrently("thing", INDEX), atomic=False) == []
    [(severity, why)] = found(AddIndexConcurrently("thing", INDEX))
    assert severity == "red"
    assert "cannot be executed inside a transaction" in why


def test_what_running_code_or_a_way_back_would_miss_is_yellow() -> None:
    missing = [
        RemoveField("thing", "score"),
        AddField("thing", "rank", models.IntegerField(default=3)),
        SeparateDatabaseAndState([RunPython(RunPython.noop)]),
    ]
    assert found(*missing) == [
        ("yellow", "what it does is not known before"),
        ("yellow", "cannot be migrated back"),
        ("yellow", "its values are gone, and code that still runs names it"),
        ("yellow", "code that does not know the column can no longer add rows"),
    ]
