"""Dual writes in every kind of statement, on every kind of table; and with dual writes off."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.db import IntegrityError, connection, models
from django.db.models import F, Value
from django.db.models.functions import Cast, Concat

from ops.sql.dual_write import DualWrite, compile_dual_write, dual_writes_off
from ops.sql.dual_write_triggers import create_statements
from ops.sql.watched_column_triggers import drop_statements
from tests.ops.changing import MigratedTable
from tests.ops.conftest import RegisterOperation
from tests.ops.dual_writing import Change, dual_written
from tests.ops.running import execute_operation, execute_sql, make_operation, player
from tests.trials.models import Odd, Thing

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

TEXT = Change(
    models.CharField(max_length=32),
    models.CharField(max_length=64, null=True),
    [],
    [],
    default="d",
    default_sql="'d'::character varying",
)


@pytest.fixture
def item() -> Iterator[MigratedTable]:
    with dual_written(TEXT) as table:
        yield table


def pairs(table: str = "shop_item") -> list[Any]:
    return execute_sql(f"SELECT value, value_v2 FROM {table} ORDER BY id")


def create(table: str, old: str, new: str, **options: Any) -> DualWrite:
    dual_write = DualWrite("trial", table, old, new, "{old}", "{new}", **options)
    [(schema,)] = execute_sql("SELECT current_schema()")
    for statement in (*drop_statements(dual_write), *create_statements(dual_write, schema)):
        execute_sql(statement)
    return dual_write


STATEMENTS = {
    "merge, old": (
        "MERGE INTO shop_item USING (SELECT 1) s ON id = 1 WHEN MATCHED THEN UPDATE SET value = 'x'",
        "x",
    ),
    "merge, new": (
        "MERGE INTO shop_item USING (SELECT 1) s ON id = 1 WHEN MATCHED THEN UPDATE SET value_v2 = 'x'",
        "x",
    ),
    "merge, inserted": (
        "DELETE FROM shop_item; MERGE INTO shop_item USING (SELECT 1) s ON id = 1"
        " WHEN NOT MATCHED THEN INSERT (value_v2) VALUES ('x')",
        "x",
    ),
    "upsert, old": (
        "INSERT INTO shop_item (id, value) VALUES (1, 'x')"
        " ON CONFLICT (id) DO UPDATE SET value = EXCLUDED.value",
        "x",
    ),
    "upsert, new": (
        "INSERT INTO shop_item (id, value_v2) VALUES (1, 'x')"
        " ON CONFLICT (id) DO UPDATE SET value_v2 = EXCLUDED.value_v2",
        "x",
    ),
    "upsert, both": (
        "INSERT INTO shop_item (id, value) VALUES (1, 'x')"
        " ON CONFLICT (id) DO UPDATE SET value = EXCLUDED.value, value_v2 = EXCLUDED.value_v2",
        "x",
    ),
    "default": ("UPDATE shop_item SET value = DEFAULT", "d"),
    "default of an insert": ("DELETE FROM shop_item; INSERT INTO shop_item DEFAULT VALUES", "d"),
    "update from": ("UPDATE shop_item SET value_v2 = s FROM (SELECT 'x' AS s) t", "x"),
}  # fmt: skip


@pytest.mark.parametrize("name", STATEMENTS)
def test_every_kind_of_statement_writes_both_columns(item: MigratedTable, name: str) -> None:
    statement, value = STATEMENTS[name]
    execute_sql("INSERT INTO shop_item (id, value) VALUES (1, 'a')")
    execute_sql(statement)
    assert pairs() == [(value, value)]


def test_the_orm_and_copy_write_both_columns(item: MigratedTable) -> None:
    model = item.model
    row = model.objects.create(value_v2="n", value=Value(None))
    assert pairs() == [("n", "n")]
    row = model.objects.get()
    row.value = "save"
    row.save()
    assert pairs() == [("save", "save")]
    row.refresh_from_db()
    row.value_v2 = "again"
    row.save()
    assert pairs() == [("again", "again")]
    model.objects.all().delete()
    model.objects.bulk_create([model(value="a"), model(value="b")])
    assert pairs() == [("a", "a"), ("b", "b")]
    rows = list(model.objects.order_by("pk"))
    for row in rows:
        row.value_v2 = "bulk"
    model.objects.bulk_update(rows, ["value", "value_v2"])
    assert pairs() == [("bulk", "bulk")] * 2
    model.objects.all().delete()
    copy("value", "x\ny\n")
    copy("value_v2", "z\n")
    assert pairs() == [("x", "x"), ("y", "y"), ("z", "z")]


def copy(columns: str, text: str) -> None:
    with connection.cursor() as cursor, connection.wrap_database_errors:
        raw = cursor.connection.cursor()
        with raw.copy(f"COPY shop_item ({columns}) FROM STDIN") as sent:
            sent.write(text)


@pytest.mark.parametrize("action", ["SET NULL", "SET DEFAULT", "CASCADE"])
def test_a_foreign_key_of_the_old_column_acts_on_both(action: str) -> None:
    execute_sql(
        "CREATE TABLE parent (id text PRIMARY KEY); INSERT INTO parent VALUES ('a'), ('d');"
        "CREATE TABLE child (id serial, value text DEFAULT 'd' REFERENCES parent"
        f" ON DELETE {action} ON UPDATE CASCADE, value_v2 text)"
    )
    try:
        create("child", "value", "value_v2", default="'d'::text", nullable=True)
        execute_sql("INSERT INTO child (value) VALUES ('a')")
        execute_sql("UPDATE parent SET id = 'b' WHERE id = 'a'")
        assert pairs("child") == [("b", "b")]
        execute_sql("DELETE FROM parent WHERE id = 'b'")
        expected: dict[str, list[Any]] = {
            "SET NULL": [(None, None)],
            "SET DEFAULT": [("d", "d")],
            "CASCADE": [],
        }
        assert pairs("child") == expected[action]
    finally:
        execute_sql("DROP TABLE child, parent CASCADE")


def test_set_default_of_a_column_that_is_not_null() -> None:
    execute_sql(
        "CREATE TABLE parent (id text PRIMARY KEY); INSERT INTO parent VALUES ('a'), ('d');"
        "CREATE TABLE child (id serial, value text NOT NULL REFERENCES parent ON DELETE SET DEFAULT,"
        " value_v2 text)"
    )
    try:
        create("child", "value", "value_v2", default="'d'::text")
        execute_sql("INSERT INTO child (value) VALUES ('a'); DELETE FROM parent WHERE id = 'a'")
        assert pairs("child") == [("d", "d")]
    finally:
        execute_sql("DROP TABLE child, parent CASCADE")


def test_partitions_have_the_triggers_of_their_table() -> None:
    execute_sql(
        "CREATE TABLE parted (id int, value text NOT NULL, value_v2 text) PARTITION BY RANGE (id);"
        "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10)"
    )
    try:
        create("parted", "value", "value_v2")
        execute_sql("CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (10) TO (20)")
        execute_sql("INSERT INTO parted (id, value) VALUES (1, 'a')")
        execute_sql("INSERT INTO parted_2 (id, value_v2) VALUES (11, 'b')")
        execute_sql("UPDATE parted SET value_v2 = 'c', id = 12 WHERE id = 1")
        execute_sql("UPDATE parted_2 SET value = 'd' WHERE id = 11")
        assert pairs("parted") == [("d", "d"), ("c", "c")]
    finally:
        execute_sql("DROP TABLE parted CASCADE")


def test_the_engine_writes_both_columns_in_its_batches(declare: RegisterOperation) -> None:
    """By MERGE from PostgreSQL 18 on; a backfill leaves the old value as it is."""
    create("trials_thing", "name", "note")
    try:
        with dual_writes_off():
            Thing.objects.bulk_create([Thing(name=f"t{n}") for n in range(5)])
        filled = make_operation(Thing.objects.filter(note=None), {"note": F("name")})
        assert execute_operation(declare(filled)).state == "succeeded"
        assert {*Thing.objects.values_list("name", "note")} == {(f"t{n}", f"t{n}") for n in range(5)}
        by_old = make_operation(Thing.objects.exclude(name="old"), {"name": "old"})
        assert execute_operation(declare(by_old)).state == "succeeded"
        by_new = make_operation(Thing.objects.exclude(note="new"), {"note": "new"})
        assert {*Thing.objects.values_list("name", "note")} == {("old", "old")}
        assert execute_operation(declare(by_new)).state == "succeeded"
        assert {*Thing.objects.values_list("name", "note")} == {("new", "new")}
    finally:
        drop("trials_thing", "name", "note")


def drop(table: str, old: str, new: str) -> None:
    for statement in drop_statements(DualWrite("trial", table, old, new, "{old}")):
        execute_sql(statement)


def test_names_that_must_be_quoted_and_percent_signs_in_them() -> None:
    table = Odd._meta.db_table
    fields = Odd._meta.get_field("title"), Odd._meta.get_field("copy")
    dual_write = compile_dual_write("trial", Odd, *fields, F("title"), F("copy"))
    for statement in create_statements(dual_write, "public"):
        execute_sql(statement)
    try:
        Odd.objects.create(title="a")
        Odd.objects.update(copy="b")
        assert [*Odd.objects.values_list("title", "copy")] == [("b", "b")]
    finally:
        drop(table, "The Title", "select")


def test_a_table_in_another_schema_with_names_of_any_characters() -> None:
    execute_sql('CREATE SCHEMA "Other %s {schema}"')
    table = '"Other %s {schema}"."A % table"'
    try:
        execute_sql(f'CREATE TABLE {table} (id serial, "a%b" text, "{{c}}" text)')
        create(table, "a%b", "{c}")
        execute_sql(f"INSERT INTO {table} (\"a%b\") VALUES ('x')")
        execute_sql(f"UPDATE {table} SET \"{{c}}\" = 'y'")
        assert execute_sql(f'SELECT "a%b", "{{c}}" FROM {table}') == [("y", "y")]
    finally:
        execute_sql('DROP SCHEMA "Other %s {schema}" CASCADE')


def test_a_type_is_found_whatever_the_search_path_of_the_player() -> None:
    execute_sql(
        "CREATE TYPE public.mood AS ENUM ('glad', 'sad');"
        "CREATE TABLE moody (id serial, value text NOT NULL, value_v2 mood)"
    )
    try:
        dual_write = DualWrite("trial", "moody", "value", "value_v2", "{old}::mood", "{new}::text")
        for statement in create_statements(dual_write, "public"):
            execute_sql(statement)
        with player() as other:
            other.execute("SET search_path = pg_catalog")
            other.execute("INSERT INTO public.moody (value) VALUES ('glad')")
            other.execute("UPDATE public.moody SET value = 'sad'")
            other.commit()
        assert pairs("moody") == [("sad", "sad")]
    finally:
        execute_sql("DROP TABLE moody CASCADE; DROP TYPE mood CASCADE")


def test_a_value_of_several_columns_follows_each_of_them() -> None:
    declared = {
        "get_new_value": lambda self: Concat(
            F("value"), Value("-{x}%s-"), Cast(F("part"), models.TextField()), output_field=models.TextField()
        ),
        "get_old_value": lambda self: None,
    }
    change = replace(TEXT, declared=declared, to_old=lambda value: None)
    with dual_written(change, part=models.IntegerField(db_default=1)):
        execute_sql("INSERT INTO shop_item (value) VALUES ('a')")
        assert pairs() == [("a", "a-{x}%s-1")]
        execute_sql("UPDATE shop_item SET part = 2")
        assert pairs() == [("a", "a-{x}%s-2")]
        execute_sql("UPDATE shop_item SET value = 'b', part = 3")
        assert pairs() == [("b", "b-{x}%s-3")]
        with pytest.raises(IntegrityError, match=r"the value 'x' of shop_item.value_v2 has no counterpart"):
            execute_sql("UPDATE shop_item SET value_v2 = 'x'")


def test_a_revert_of_the_backfill_is_stored_and_followed(item: MigratedTable) -> None:
    execute_sql("INSERT INTO shop_item (value) VALUES ('a')")
    execute_sql("UPDATE shop_item SET value_v2 = NULL")
    assert pairs() == [("a", None)]
    execute_sql("UPDATE shop_item SET value = value")
    assert pairs() == [("a", None)]
    execute_sql("UPDATE shop_item SET value = 'b'")
    assert pairs() == [("b", "b")]


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        (models.CharField(max_length=4), models.TextField(null=True), "'wider'"),
        (models.CharField(max_length=4), models.BigIntegerField(null=True), "32768"),
        (models.SmallIntegerField(), models.BigIntegerField(null=True), "32768"),
        (
            models.DecimalField(max_digits=3, decimal_places=1),
            models.DecimalField(max_digits=5, decimal_places=2, null=True),
            "99.96",
        ),
    ],
)
def test_what_the_old_column_cannot_hold_is_kept_from_it(old: Any, new: Any, value: str) -> None:
    with dual_written(Change(old, new, [], [], declared={"unmappable": "keep"})):
        execute_sql("INSERT INTO shop_item (value) VALUES ('7')")
        execute_sql(f"UPDATE shop_item SET value_v2 = {value}")
        execute_sql("UPDATE shop_item SET value_v2 = value_v2")
        assert execute_sql(f"SELECT value = '7', value_v2 = {value} FROM shop_item") == [(True, True)]
        execute_sql("UPDATE shop_item SET value_v2 = '8'")
        assert execute_sql("SELECT value = '8' FROM shop_item") == [(True,)]
