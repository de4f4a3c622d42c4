"""The primary key of a table moves to a wider column, and back: each kind of key, in the test's process."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
from django.db import IntegrityError, connection, models
from django.db.migrations import AlterField, CreateModel

from ops.column_changes.gates import GateClosed
from ops.column_changes.key_operations import PrepareKey, PrepareKeyAgain, RequireFittingKeys, RetireKey
from ops.column_changes.migration_operations import CompareColumns, DropColumn
from ops.column_changes.obstructions import ColumnInUse, NoWayBack
from ops.sql.column_difference import correct_statement
from ops.sql.dual_write import KeyCopy, dual_writes_off
from ops.sql.integers import narrowing_template
from tests.ops.changing import APP, MigratedTable, migrated_table
from tests.ops.running import execute_sql

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

_SERIAL = """
ALTER TABLE shop_item ALTER id DROP IDENTITY;
CREATE SEQUENCE shop_item_id_seq AS integer OWNED BY shop_item.id;
ALTER TABLE shop_item ALTER id SET DEFAULT nextval('shop_item_id_seq')
"""
_ODD = """
ALTER TABLE shop_item ALTER id DROP IDENTITY, ALTER id ADD GENERATED ALWAYS AS IDENTITY
    (SEQUENCE NAME "odd seq" START 7 INCREMENT 3 MINVALUE 5 MAXVALUE 30000 CYCLE);
GRANT USAGE ON SEQUENCE "odd seq" TO PUBLIC
"""
KINDS: dict[str, tuple[Any, Any, str]] = {
    "identity": (models.AutoField, models.BigAutoField, ""),
    "serial": (models.AutoField, models.BigAutoField, _SERIAL),
    "odd identity": (models.AutoField, models.BigAutoField, _ODD),
    "small": (models.SmallAutoField, models.BigAutoField, ""),
    "no sequence": (models.IntegerField, models.BigIntegerField, ""),
}
# Two that Django does not make, and one of the table itself.
_FOREIGN_KEYS = """
ALTER TABLE shop_item ADD up integer,
    ADD CONSTRAINT up FOREIGN KEY (up) REFERENCES shop_item ON DELETE SET NULL;
CREATE TABLE "shop line" ("the item" integer CONSTRAINT "of item" REFERENCES shop_item ON DELETE CASCADE)
"""
_CATALOGUE_SQL = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint
WHERE conrelid IN ('shop_item'::regclass, 'shop_ref'::regclass, '"shop line"'::regclass)
UNION SELECT tablename, indexname, indexdef, true FROM pg_indexes WHERE tablename IN ('shop_item', 'shop_ref')
UNION SELECT attname, format_type(atttypid, atttypmod), concat_ws(' ', attidentity,
    pg_get_expr(adbin, adrelid), pg_get_serial_sequence('shop_item', attname)), attnotnull FROM pg_attribute
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attrelid = 'shop_item'::regclass AND attnum > 0 AND NOT attisdropped
UNION SELECT tgname, pg_get_triggerdef(oid), '', true FROM pg_trigger
    WHERE tgrelid = 'shop_item'::regclass AND NOT tgisinternal
UNION SELECT relname, format_type(seqtypid, NULL), concat_ws(' ', seqstart, seqincrement, seqmin, seqmax,
    seqcache, seqcycle, relacl), true FROM pg_sequence JOIN pg_class c ON c.oid = seqrelid
    WHERE relname IN ('shop_item_id_seq', 'odd seq')
ORDER BY 1, 2, 3
"""


class KeyTable:
    """The table ``shop_item``, whose key moves; ``shop_ref`` and another table refer to it."""

    def __init__(self, table: MigratedTable, kind: str, keeps: bool) -> None:
        key, wide, statements = KINDS[kind]
        self.table, self.has_sequence = table, kind != "no sequence"
        table.fields[0] = ("id", key(primary_key=True))
        table.create()
        item = models.ForeignKey("shop.Item", models.CASCADE)
        fields = [("id", models.BigAutoField(primary_key=True)), ("item", item)]
        table.apply(CreateModel("Ref", fields, options={"db_table": "shop_ref"}))
        execute_sql(f"{statements or 'SELECT 1'}; {_FOREIGN_KEYS}")
        self.type = "smallint" if kind == "small" else "integer"
        to_old = narrowing_template(self.type)
        self.copy = KeyCopy("wide", "shop_item", "id", "id_v2", "{old}", to_old, keeps=keeps, empties=True)
        field = wide(primary_key=True)
        self.retire = RetireKey("item", "id", "id_v2", self.copy, "id__retired", field)

    @property
    def ref(self) -> Any:
        return self.table.state.apps.get_model(APP, "Ref")

    def constrain(self) -> None:
        self.table.expand("id_v2", models.BigIntegerField(null=True), self.copy)
        execute_sql("UPDATE shop_item SET id_v2 = id")
        self.table.apply(AlterField("item", "id_v2", models.BigIntegerField()), PrepareKey(self.copy))

    def move(self) -> None:
        fitting = RequireFittingKeys(self.retire.retired_dual_write)
        self.table.apply(PrepareKeyAgain(self.copy), self.retire, fitting)

    def insert(self, key: int | None = None) -> int:
        """Insert a row, and one of each table that refers to it; return its key."""
        if key is None and not self.has_sequence:
            [(key,)] = execute_sql("SELECT max(id) + 1 FROM shop_item")
        columns, value = ("", "DEFAULT VALUES") if key is None else ("(id)", f"VALUES ({key})")
        [(key,)] = execute_sql(f"INSERT INTO shop_item {columns} {value} RETURNING id")
        execute_sql(f'INSERT INTO shop_ref (item_id) VALUES ({key}); INSERT INTO "shop line" VALUES ({key})')
        return int(key or 0)

    def catalogue(self) -> list[Any]:
        return execute_sql(_CATALOGUE_SQL)


@contextmanager
def key_table(kind: str = "identity", keeps: bool = True) -> Iterator[KeyTable]:
    try:
        with migrated_table() as table:
            yield KeyTable(table, kind, keeps)
    finally:
        execute_sql('DROP TABLE IF EXISTS shop_ref, "shop line"')


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_key_moves_and_comes_back(kind: str) -> None:
    with key_table(kind) as moved:
        moved.insert(7 if kind == "no sequence" else None)
        start = moved.catalogue()
        moved.constrain()
        constrained = moved.catalogue()
        keys = [moved.insert()]
        versions = "SELECT ctid::text, xmin::text FROM shop_item ORDER BY 1"
        rows = execute_sql(versions)
        moved.move()
        assert execute_sql(versions) == rows
        pk, item = moved.table.model._meta.pk, moved.ref._meta.get_field("item")
        assert (type(pk), item.db_type(connection)) == (KINDS[kind][1], "bigint")
        moved_to = moved.catalogue()
        keys.append(moved.insert())
        moved.table.unapply()
        assert moved.catalogue() == constrained
        keys += [moved.insert(), moved.insert()]
        assert {later - key for key, later in pairwise(keys)} == {3 if kind == "odd identity" else 1}
        moved.table.unapply()
        moved.table.unapply()
        assert moved.catalogue() == start
        moved.constrain()
        moved.move()
        assert moved.catalogue() == moved_to
        moved.table.apply(DropColumn(moved.retire.retired_dual_write))
        assert moved.insert() - keys[-1] == keys[-1] - keys[-2]
        assert not [row for row in moved.catalogue() if "retired" in f"{row}" or "new" in f"{row}"]


def test_the_copy_is_the_key_whatever_is_written_to_it() -> None:
    with key_table() as moved:
        moved.constrain()
        execute_sql("INSERT INTO shop_item (id_v2) VALUES (5000000000)")
        execute_sql("INSERT INTO shop_item (id, id_v2) VALUES (8, NULL)")
        execute_sql("UPDATE shop_item SET id_v2 = NULL WHERE id = 1")
        with dual_writes_off():
            execute_sql("UPDATE shop_item SET id = 9, id_v2 = 10 WHERE id = 8")
        assert execute_sql("SELECT id, id_v2 FROM shop_item ORDER BY id") == [(1, 1), (9, 9)]


def test_a_copy_that_is_not_the_key_stops_the_move() -> None:
    """As of triggers that were off. What it says to type makes it the key, also where it fits no old one."""
    with key_table() as moved:
        moved.constrain()
        moved.insert()
        execute_sql("SET session_replication_role = replica; UPDATE shop_item SET id_v2 = 5000000000")
        execute_sql("RESET session_replication_role")
        with pytest.raises(GateClosed, match="wide: id and id_v2 differ in 1 row of shop_item") as caught:
            moved.table.apply(CompareColumns(moved.copy))
        assert "To take over the values of id:" in str(caught.value)
        execute_sql(correct_statement(moved.copy))
        moved.table.apply(CompareColumns(moved.copy))
        assert execute_sql("SELECT id, id_v2 FROM shop_item") == [(1, 1)]


def test_a_key_that_does_not_fit_is_written_and_prevents_the_way_back() -> None:
    with key_table() as moved:
        moved.constrain()
        keys = [moved.insert(), moved.insert(), moved.insert()]
        moved.move()
        execute_sql("INSERT INTO shop_item (id) VALUES (5000000000)")
        execute_sql('TRUNCATE shop_ref, "shop line"')
        execute_sql(f"UPDATE shop_item SET id = 5000000001 WHERE id = {keys[0]}")
        retired = execute_sql("SELECT id__retired FROM shop_item ORDER BY id")
        assert retired == [(keys[1],), (keys[2],), (None,), (None,)]
        with pytest.raises(
            NoWayBack, match=r"^2 rows of shop_item have a value of id that does not fit id__"
        ):
            moved.table.unapply()
        execute_sql("DELETE FROM shop_item WHERE id > 2147483647")
        execute_sql("SELECT setval('shop_item_id_seq', 2147483648)")
        with pytest.raises(
            NoWayBack, match=r"The sequence shop_item_id_seq of shop_item.id has given 2147483648"
        ):
            moved.table.unapply()
        execute_sql("SELECT setval('shop_item_id_seq', 2147483647)")
        moved.table.unapply()


def test_a_key_that_does_not_fit_is_refused_where_that_is_declared() -> None:
    with key_table(keeps=False) as moved:
        moved.constrain()
        moved.move()
        moved.insert()
        with pytest.raises(
            IntegrityError, match=r"wide: the value '5000000000' of shop_item.id has no counterpart"
        ):
            execute_sql("INSERT INTO shop_item (id) VALUES (5000000000)")
        moved.table.unapply()
        moved.insert()


def test_a_foreign_key_that_came_after_constrain_goes_along() -> None:
    with key_table() as moved:
        moved.constrain()
        execute_sql(
            "ALTER TABLE shop_ref ADD late integer,"
            " ADD CONSTRAINT late FOREIGN KEY (late) REFERENCES shop_item ON DELETE SET NULL"
        )
        before = moved.catalogue()
        moved.move()
        definition = (
            "SELECT pg_get_constraintdef(oid), convalidated FROM pg_constraint WHERE conname = 'late'"
        )
        referring = "FOREIGN KEY (late) REFERENCES shop_item(id) ON DELETE SET NULL"
        assert execute_sql(definition) == [(referring, True)]
        moved.table.unapply()
        assert {*moved.catalogue()} - {*before} == {
            ("shop_ref", "late__new", referring.replace("(id)", "(id_v2)"), True)
        }
        execute_sql("ALTER TABLE shop_ref ADD CONSTRAINT later FOREIGN KEY (id) REFERENCES shop_item")
        with pytest.raises(ColumnInUse, match=r"The foreign key later of shop_ref refers to shop_item\.id"):
            moved.table.apply(moved.retire)
