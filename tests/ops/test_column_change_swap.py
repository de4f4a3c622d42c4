"""The type of a column changes under its name, while players write: nothing is lost, and there and back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import psycopg
import pytest
from django.db import models
from django.db.migrations import AddConstraint, AddField, AddIndex, AlterField
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Cast

from ops.column_changes.migration_operations import DropColumn
from ops.column_changes.retire_operations import RetireColumn
from ops.sql.dual_write import DualWrite, comparable_value, compile_dual_write
from tests.ops.changing import APP, MigratedTable, migrated_table
from tests.ops.running import execute_sql, player

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

Conversion = Callable[[str], Any]


def cast(kind: type[Any]) -> Conversion:
    return lambda column: Cast(F(column), kind())


def as_number(column: str) -> Any:
    return Case(When(**{column: True}, then=Value(1)), When(**{column: False}, then=Value(0)))


def as_boolean(column: str) -> Any:
    return Case(
        When(**{column: 0}, then=Value(False)), When(**{f"{column}__isnull": False}, then=Value(True))
    )


CHANGES = {
    "varchar": (models.CharField(max_length=32), models.CharField(max_length=64, null=True), F, F),
    "integer": (
        models.TextField(),
        models.IntegerField(null=True),
        cast(models.IntegerField),
        cast(models.TextField),
    ),
    "smallint": (models.BooleanField(), models.SmallIntegerField(null=True), as_number, as_boolean),
    "bigint": (models.IntegerField(db_index=True), models.BigIntegerField(null=True), F, F),
}


@contextmanager
def players(count: int = 2) -> Iterator[list[str]]:
    """Sessions that write by the old name until the end of the block; yields their errors."""
    stop, errors = Event(), list[str]()
    written = [Event() for _ in range(count)]

    def play(session: "psycopg.Connection[Any]", done: Event) -> None:
        session.autocommit, session.prepare_threshold = True, None
        while not stop.is_set() or not done.is_set():
            try:
                session.execute("INSERT INTO shop_item (value) VALUES ('1')")
                session.execute(
                    "UPDATE shop_item SET value = '0' WHERE id IN"
                    " (SELECT id FROM shop_item WHERE value = '1' ORDER BY random() LIMIT 1)"
                )
                session.execute("SELECT value FROM shop_item LIMIT 1").fetchall()
            except psycopg.Error as exc:
                errors.append(str(exc))
            done.set()

    def run(done: Event) -> None:
        with player() as session:
            play(session, done)

    threads = [Thread(target=run, args=[done]) for done in written]
    for thread in threads:
        thread.start()
    try:
        yield errors
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def compile_change(table: MigratedTable, new: Any, to_new: Conversion, to_old: Conversion) -> DualWrite:
    state = table.state.clone()
    AddField("item", "value_v2", new).state_forwards(APP, state)
    item = state.apps.get_model(APP, "Item")
    old, new = (item._meta.get_field(name) for name in ("value", "value_v2"))
    values = comparable_value(to_new("value"), new), comparable_value(to_old("value_v2"), old)
    return compile_dual_write("wider", item, old, new, *values)


def catalogue() -> list[Any]:
    """The columns, constraints and indexes of the table, and their definitions."""
    return execute_sql(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'shop_item'::regclass"
        " UNION SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'shop_item'"
        " UNION SELECT attname, format_type(atttypid, atttypmod) || attnotnull FROM pg_attribute"
        " WHERE attrelid = 'shop_item'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY 1, 2"
    )


@pytest.mark.parametrize("name", CHANGES)
def test_a_type_changes_under_its_name_and_back(name: str) -> None:
    old, new, to_new, to_old = CHANGES[name]
    final = new.clone()
    final.null, final.db_index = False, old.db_index
    with migrated_table(value=old) as table:
        table.create()
        execute_sql("INSERT INTO shop_item (value) SELECT '1' FROM generate_series(1, 100)")
        dual_write = compile_change(table, new, to_new, to_old)
        retire = RetireColumn("item", "value", "value_v2", dual_write, "value__retired", swap=True)
        with players() as errors:
            table.expand("value_v2", new, dual_write)
            table.model.objects.filter(value_v2=None).update(value_v2=to_new("value"))
            table.apply(AlterField("item", "value_v2", final))
            before = catalogue()
            table.apply(retire)
            table.unapply()
            assert catalogue() == before
            table.apply(retire)
        assert errors == []
        both = f"({dual_write.to_new}) = {{new}}".format(old="value__retired", new="value")
        assert execute_sql(f"SELECT count(*) FROM shop_item WHERE ({both}) IS NOT TRUE") == [(0,)]
        table.apply(DropColumn(retire.retired_dual_write))
        assert table.model.objects.filter(value__in=[0, 1]).count() == table.model.objects.count() > 100
        found = catalogue()
    with migrated_table(value=final) as table:
        table.create()
        assert found == catalogue()


def names() -> set[str]:
    """The names of the table's constraints and indexes."""
    found = execute_sql(
        "SELECT conname FROM pg_constraint WHERE conrelid = 'shop_item'::regclass"
        " UNION SELECT indexname FROM pg_indexes WHERE tablename = 'shop_item'"
    )
    return {name for (name,) in found}


def test_names_that_were_given_go_where_the_model_says() -> None:
    """The new column's index and constraint get the names that the old one's had."""
    dual_write = DualWrite("wider", "shop_item", "value", "value_v2", "{old}", "{new}")
    retire = RetireColumn(
        "item",
        "value",
        "value_v2",
        dual_write,
        "value__retired",
        swap=True,
        renames={"idx_v2": "idx", "filled_v2": "filled", "once_v2": "once"},
    )
    with migrated_table(value=models.CharField(max_length=9, db_index=True)) as table:
        table.create(
            indexes=[models.Index("value", "id", name="idx")],
            constraints=[
                models.CheckConstraint(condition=~Q(value=""), name="filled"),
                models.UniqueConstraint(fields=["value", "id"], name="once"),
            ],
        )
        before = names()
        table.expand("value_v2", models.TextField(null=True), dual_write)
        table.apply(
            AlterField("item", "value_v2", models.TextField(db_index=True)),
            AddIndex("item", models.Index("value_v2", "id", name="idx_v2")),
            AddConstraint("item", models.CheckConstraint(condition=~Q(value_v2=""), name="filled_v2")),
            AddConstraint("item", models.UniqueConstraint(fields=["value_v2", "id"], name="once_v2")),
        )
        between = catalogue()
        table.apply(retire)
        meta = table.model._meta
        assert meta.indexes == [models.Index("value", "id", name="idx")]
        assert meta.constraints == [
            models.CheckConstraint(condition=~Q(value=""), name="filled"),
            models.UniqueConstraint(fields=["value", "id"], name="once"),
        ]
        assert {"idx__retired", "filled__retired", "once__retired"} < names()
        table.unapply()
        assert catalogue() == between
        table.apply(retire)
        table.apply(DropColumn(retire.retired_dual_write))
        assert names() == before


def test_a_value_that_new_code_removes_is_gone_on_the_way_back() -> None:
    """By a backfill that is reverted it is not, but that is before retire."""
    change = models.CharField(max_length=9, null=True), models.TextField(null=True), F, F
    with migrated_table(value=change[0]) as table:
        table.create()
        execute_sql("INSERT INTO shop_item (value) VALUES ('a')")
        dual_write = compile_change(table, *change[1:])
        table.expand("value_v2", change[1], dual_write)
        execute_sql("UPDATE shop_item SET value_v2 = 'a'; UPDATE shop_item SET value_v2 = NULL")
        assert execute_sql("SELECT value FROM shop_item") == [("a",)]
        execute_sql("UPDATE shop_item SET value_v2 = 'a'")
        table.apply(RetireColumn("item", "value", "value_v2", dual_write, "value__retired", swap=True))
        execute_sql("UPDATE shop_item SET value = NULL")
        table.unapply()
        assert execute_sql("SELECT value, value_v2 FROM shop_item") == [(None, None)]


def test_what_prepared_statements_see_of_a_swap() -> None:
    """Django's connections prepare none. A session that does fails for ever where it reads the column."""
    dual_write = DualWrite("wider", "shop_item", "value", "value_v2", "{old}", "{new}")
    retire = RetireColumn("item", "value", "value_v2", dual_write, "value__retired", swap=True)
    query = "SELECT value FROM shop_item"
    with migrated_table(value=models.CharField(max_length=9)) as table, player() as preparing:
        preparing.autocommit = True
        table.create()
        table.expand("value_v2", models.TextField(null=True), dual_write)
        for _ in range(10):
            execute_sql(query)
            preparing.execute(query)
        assert execute_sql("SELECT count(*) FROM pg_prepared_statements") == [(0,)]
        table.apply(retire)
        assert execute_sql(query) == []
        for _ in range(3):
            with pytest.raises(
                psycopg.errors.FeatureNotSupported, match="cached plan must not change result"
            ):
                preparing.execute(query)
        preparing.execute(query, prepare=False)
        preparing.execute("DISCARD ALL")
        preparing.execute(query)
