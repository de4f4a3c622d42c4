"""A column is removed by a column change: who writes it is told, and it comes back until it is dropped."""

import re
import shlex
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from ops.column_changes import ColumnChange, ColumnRemoval
from ops.column_changes.gates import GateClosed, require_open
from ops.column_changes.migration_operations import DropColumn, RecordStep, WatchColumn
from ops.column_changes.obstructions import ColumnInUse, NoWayBack
from ops.column_changes.planning.removal_plan import compile_removal, list_removal_notes
from ops.column_changes.planning.table import read_watched_table
from ops.column_changes.planning.table_obstacles import find_removal_obstacles
from ops.column_changes.retire_operations import RetireWatchedColumn
from ops.column_changes.steps import Step
from ops.column_changes.validation import validate_change
from ops.exceptions import InvalidDeclaration
from ops.models import ColumnWriter
from ops.sql.watched_column import WatchedColumn
from tests.ops.changing import MigratedTable, migrated_table
from tests.ops.running import execute_sql
from tests.ops.shop import playing, removal, shop
from tests.ops.test_column_change_generations import retired_beside_old_code
from tests.trials.models import Thing

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

FLAG = models.BooleanField(default=False)
TABLES = {
    "flag": FLAG,
    "flag in the table": models.BooleanField(db_default=False),
    "list": ArrayField(models.TextField(), default=list),
    "text": models.TextField(),
    "nullable": models.IntegerField(null=True),
    "nullable with a default": models.IntegerField(null=True, db_default=7),
    "unique": models.CharField(max_length=9, default="", unique=True),
}
# What a row has that leaves the column out, and a value.
LEFT_OUT = {
    "flag": (False, True),
    "flag in the table": (False, False),
    "list": ([], ["a"]),
    "text": (None, ""),
    "nullable": (None, 0),
    "nullable with a default": (7, 8),
    "unique": (None, ""),
}


def watch(table: MigratedTable, **attributes: Any) -> WatchedColumn:
    """Expand, and return what is watched."""
    column = compile_removal(declare(table, **attributes))
    table.apply(WatchColumn(column), RecordStep("remove_value", "expand"))
    return column


def declare(table: MigratedTable, **attributes: Any) -> type[ColumnRemoval]:
    members = {"name": "remove_value", "model": table.model, "old": "value", **attributes}
    return type("RemoveValue", (ColumnRemoval,), members)


def retire(column: WatchedColumn) -> RetireWatchedColumn:
    return RetireWatchedColumn("item", "value", column, "value__retired")


def values(column: str = "value") -> list[Any]:
    return [value for (value,) in execute_sql(f"SELECT {column} FROM shop_item ORDER BY id")]


def column_definition(column: str = "value") -> list[tuple[Any, ...]]:
    return execute_sql(
        "SELECT is_nullable, column_default FROM information_schema.columns"
        " WHERE table_name = 'shop_item' AND column_name = %s",
        column,
    )


def writers() -> set[str]:
    """Return who is recorded, and forget them and that this session was recorded."""
    found = set(ColumnWriter.objects.values_list("application_name", flat=True))
    ColumnWriter.objects.all().delete()
    execute_sql(
        "SELECT set_config('ops.writer_remove_value', '', false),"
        " set_config('ops.writer_minute_remove_value', '', false)"
    )
    return found


@pytest.fixture(params=TABLES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def table(kind: str) -> Iterator[MigratedTable]:
    with migrated_table(value=TABLES[kind].clone(), note=models.IntegerField(null=True)) as table:
        table.create()
        yield table


@pytest.fixture
def flags() -> Iterator[MigratedTable]:
    with migrated_table(value=FLAG.clone(), note=models.IntegerField(null=True)) as table:
        table.create(
            indexes=[models.Index("value", "note", name="idx_value")],
            constraints=[models.CheckConstraint(condition=Q(value=False) | Q(note=1), name="value_note")],
        )
        yield table


def test_rows_leave_the_column_out_from_expand_on(table: MigratedTable, kind: str) -> None:
    left_out, value = LEFT_OUT[kind]
    before = column_definition()
    column = watch(table)
    for _ in range(2):
        execute_sql("INSERT INTO shop_item (note) VALUES (1)")
    execute_sql("UPDATE shop_item SET note = 2")
    assert (values(), writers()) == ([left_out, left_out], set())
    table.apply(retire(column))
    execute_sql("INSERT INTO shop_item (note) VALUES (1)")
    assert values("value__retired") == [left_out] * 3
    table.unapply()
    execute_sql("INSERT INTO shop_item (value) VALUES (%s)", value)
    assert values() == [left_out] * 3 + [value]
    if left_out is None:
        execute_sql("DELETE FROM shop_item WHERE value IS NULL")
    table.unapply()
    assert column_definition() == before


def test_who_writes_the_column_is_recorded(table: MigratedTable, kind: str) -> None:
    [(name,)] = execute_sql("SELECT current_setting('application_name')")
    watch(table)
    execute_sql("INSERT INTO shop_item (value) VALUES (%s)", LEFT_OUT[kind][1])
    assert writers() == {name}
    execute_sql("UPDATE shop_item SET value = value WHERE false")
    assert writers() == {name}
    table.model.objects.update(note=1)
    assert writers() == set()


def test_an_update_to_the_default_is_filled_in(table: MigratedTable, kind: str) -> None:
    watch(table)
    execute_sql("INSERT INTO shop_item (value) VALUES (%s)", LEFT_OUT[kind][1])
    execute_sql("UPDATE shop_item SET value = DEFAULT")
    assert values() == [LEFT_OUT[kind][0]]


def test_a_default_that_varies_is_not_frozen() -> None:
    with migrated_table(value=models.DateTimeField(default=Now)) as table:
        table.create()
        assert compile_removal(declare(table)).default is None


def test_taking_expand_back_tells_of_rows_without_a_value() -> None:
    with migrated_table(value=models.TextField(), note=models.IntegerField(null=True)) as table:
        table.create()
        watch(table)
        execute_sql("INSERT INTO shop_item (note) VALUES (1)")
        with pytest.raises(NoWayBack) as raised:
            table.unapply()
        message = str(raised.value)
        assert message.startswith(
            "shop_item.value is empty in 1 row, added without it; and the column may not be empty. Give them"
            " one: psql "
        )
        *_, fill = shlex.split(message)
        execute_sql(fill.replace("VALUE", "'x'"))
        table.unapply()
        assert values() == ["x"]


def test_retire_takes_the_names_along_and_brings_them_back(flags: MigratedTable) -> None:
    def names() -> set[str]:
        found = execute_sql(
            "SELECT conname FROM pg_constraint WHERE conrelid = 'shop_item'::regclass AND contype = 'c'"
            " UNION SELECT indexname FROM pg_indexes WHERE tablename = 'shop_item'"
        )
        return {name for (name,) in found}

    before, column = names(), watch(flags)
    flags.apply(retire(column))
    assert names() == {"shop_item_pkey", "idx_value__retired", "value_note__retired"}
    assert (flags.model._meta.indexes, flags.model._meta.constraints) == ([], [])
    assert [field.name for field in flags.model._meta.fields] == ["id", "note"]
    flags.model.objects.create(note=5)
    flags.unapply()
    assert names() == before
    assert list(flags.model.objects.values_list("value", "note")) == [(False, 5)]


def test_nothing_is_left_after_the_drop(flags: MigratedTable) -> None:
    column = watch(flags)
    step = retire(column)
    flags.apply(step)
    flags.apply(DropColumn(step.retired_column))
    flags.model.objects.create(note=5)
    assert execute_sql("SELECT * FROM shop_item") == [(1, 5)]
    left = "SELECT tgname FROM pg_trigger WHERE tgrelid = 'shop_item'::regclass AND NOT tgisinternal"
    assert execute_sql(f"{left} UNION SELECT proname FROM pg_proc WHERE proname LIKE 'column_watch_%%'") == []
    with pytest.raises(NoWayBack, match=r"shop_item\.value__retired was dropped\. It comes back only by"):
        flags.unapply()


def test_a_view_is_told_before_the_drop(flags: MigratedTable) -> None:
    step = retire(watch(flags))
    execute_sql("CREATE VIEW shop_flags AS SELECT value FROM shop_item")
    flags.apply(step)
    with pytest.raises(ColumnInUse, match=r"^shop_item\.value__retired is used by view shop_flags\. Drop"):
        flags.apply(DropColumn(step.retired_column))


def test_retire_follows_expand_and_waits_for_writers(flags: MigratedTable) -> None:
    with pytest.raises(GateClosed, match="The step expand comes before it"):
        require_open("remove_value", Step.RETIRE, after=Step.EXPAND)
    watch(flags)
    require_open("remove_value", Step.RETIRE, after=Step.EXPAND)
    flags.model.objects.create(value=True, note=1)
    wait = ColumnRemoval.retire_after
    with pytest.raises(GateClosed, match=r"needs 48 h in which nobody writes the old column"):
        require_open("remove_value", Step.RETIRE, wait, after=Step.EXPAND)


def plan_texts(table: MigratedTable) -> tuple[list[str], list[str]]:
    """Return the obstacles and the notes of a removal of ``value``."""
    change = declare(table)
    watched = read_watched_table(change, compile_removal(change))
    assert watched
    return find_removal_obstacles(watched), list(list_removal_notes(watched))


def test_what_goes_with_the_column_is_noted(flags: MigratedTable) -> None:
    execute_sql(
        "CREATE VIEW shop_flags AS SELECT value FROM shop_item;"
        "CREATE TRIGGER shop_same BEFORE UPDATE OF value ON shop_item"
        " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"
    )
    obstacles, notes = plan_texts(flags)
    assert obstacles == []
    assert notes == [
        "A new row that leaves value out has false in it, from the step expand on.",
        "The view public.shop_flags reads value. It will read the renamed column after the step retire, and"
        " prevent the step drop. Change it to do without value before the step retire.",
        "The trigger shop_same of shop_item uses value. Change it to do without value before the step"
        " retire.",
        "The constraint value_note: CHECK (NOT value OR note = 1) stays until the step drop, and is dropped"
        " with value. If one without it is needed, add it to the model.",
        "The index CREATE INDEX idx_value ON public.shop_item USING btree (value, note) stays until the step"
        " drop, and is dropped with value. If one without it is needed, add it to the model.",
    ]


def test_a_write_that_cannot_be_recorded_is_noted(table: MigratedTable, kind: str) -> None:
    nothing = {"nullable": "NULL", "nullable with a default": "DEFAULT", "flag in the table": "DEFAULT"}
    noted = [note for note in plan_texts(table)[1] if "is not recorded" in note]
    assert [note.partition(", as Django")[0] for note in noted] == [
        f"An INSERT that sets value to {word}" for word in [nothing.get(kind)] if word
    ]


@pytest.mark.parametrize(
    ("base", "members", "message"),
    [
        (ColumnRemoval, {"old": None}, "old is None; give the name of a field of trials.Thing"),
        (
            ColumnChange,
            {"old": "name", "new": None},
            "new is None; give the name of a field of trials.Thing. To remove a field, inherit from"
            " ColumnRemoval",
        ),
        (ColumnRemoval, {"old": "name", "drop_after": timedelta()}, "drop_after is zero; say why in"),
    ],
)
def test_a_wrong_declaration_is_refused(base: type, members: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidDeclaration, match=re.escape(message)):
        validate_change(type("Trial", (base,), {"name": "trial", "model": Thing, **members}))


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (
            "ALTER TABLE shop_item ADD twice int GENERATED ALWAYS AS (value * 2) STORED",
            "A generated column uses value",
        ),
        ("ALTER TABLE shop_item DROP CONSTRAINT shop_item_pkey, ADD PRIMARY KEY (id, value)", "primary key"),
        ("ALTER TABLE shop_item ADD value__retired int", "has a column value__retired already"),
        (
            "ALTER TABLE shop_item ADD UNIQUE (value);"
            "CREATE TABLE shop_other (item int REFERENCES shop_item (value))",
            "refers to shop_item.value. Let it refer to another column first",
        ),
        ("CREATE PUBLICATION shop_all FOR TABLE shop_item (id, value)", "The publication shop_all names"),
    ],
)
def test_what_is_in_the_way_is_told(statement: str, words: str) -> None:
    with migrated_table(value=models.IntegerField(default=1)) as table:
        table.create()
        execute_sql(statement)
        try:
            [obstacle] = plan_texts(table)[0]
            assert words in obstacle
        finally:
            execute_sql("DROP PUBLICATION IF EXISTS shop_all; DROP TABLE IF EXISTS shop_other")


PLAN = "column_change remove_featured plan"
NEXT, BACK = (f"column_change remove_featured {verb} --execute" for verb in ("next", "back"))
IS_CLEAN = "makemigrations --check --dry-run"


@pytest.mark.chaos
def test_two_generations_of_code_live_through_a_removal(tmp_path: Path) -> None:
    with shop(tmp_path, generations=removal()) as project:
        with playing(project, "old", "old"):
            project.manage("old", PLAN, IS_CLEAN, NEXT, IS_CLEAN)
            with playing(project, "new"):
                pass
        project.manage("new", NEXT, IS_CLEAN)  # writes the migration of retire
        with playing(project, "new"):
            with retired_beside_old_code(project, NEXT, BACK, "featured.* does not exist"):
                pass
            project.manage("new", NEXT, NEXT, IS_CLEAN)  # retires, and writes the migration of drop
            project.add_backup(tmp_path / "file.dump")
            project.manage("new", NEXT, IS_CLEAN)
        assert "featured" not in str(project.table())
