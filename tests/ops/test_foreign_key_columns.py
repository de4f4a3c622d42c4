"""A column that refers to a key becomes bigint, with its foreign key; what it refers to can still go."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import IntegrityError, models
from django.db.migrations import AddField, AlterField, CreateModel

from ops.column_changes import ColumnChange
from ops.column_changes.key_operations import FollowForeignKey
from ops.column_changes.obstructions import NoWayBack
from ops.column_changes.planning.model_changes import nullable_field
from ops.column_changes.planning.plan import compile_change
from ops.column_changes.planning.table import read_table
from ops.column_changes.planning.table_obstacles import find_obstacles
from ops.column_changes.retire_operations import RetireColumn
from tests.ops.changing import APP, MigratedTable, migrated_table
from tests.ops.running import execute_sql

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

_BY_HAND = """
ALTER TABLE shop_item DROP CONSTRAINT {name}, ALTER owner_id TYPE integer,
    ADD CONSTRAINT by_hand FOREIGN KEY (owner_id) REFERENCES shop_owner ON DELETE SET NULL
"""
_FOREIGN_KEYS_SQL = """
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype = 'f' AND conrelid = 'shop_item'::regclass
"""


def foreign_keys() -> dict[str, str]:
    return dict(execute_sql(_FOREIGN_KEYS_SQL))


class Reference:
    """The column ``owner_id`` of ``shop_item``, an integer as it was when the key was one."""

    def __init__(self, table: MigratedTable, **declared: Any) -> None:
        self.table = table
        owner = [("id", models.BigAutoField(primary_key=True))]
        table.apply(CreateModel("Owner", owner, options={"db_table": "shop_owner"}))
        table.fields.append(("owner", self.field("items")))
        table.create()
        [name] = foreign_keys()
        self.django_name = name
        execute_sql(_BY_HAND.format(name=name))
        self.final = self.field("+")
        state = table.state.clone()
        AddField("item", "owner_v2", self.final).state_forwards(APP, state)
        members = {
            "name": "wide",
            "model": state.apps.get_model(APP, "Item"),
            "old": "owner",
            "new": "owner_v2",
        }
        self.change: type[ColumnChange] = type("Wide", (ColumnChange,), {**members, "swap": True, **declared})
        self.dual_write = compile_change(self.change)

    @staticmethod
    def field(related_name: str) -> Any:
        return models.ForeignKey("shop.Owner", models.SET_NULL, null=True, related_name=related_name)

    def retire(self) -> None:
        names = "item", "owner", "owner_v2", self.dual_write, "owner_id__retired"
        self.table.expand("owner_v2", nullable_field(self.final), self.dual_write)
        execute_sql("UPDATE shop_item SET owner_v2_id = owner_id")
        self.table.apply(AlterField("item", "owner_v2", self.final), FollowForeignKey(self.dual_write))
        self.table.apply(RetireColumn(*names, swap=True, field=self.field("items")))


@contextmanager
def reference(**declared: Any) -> Iterator[Reference]:
    try:
        with migrated_table() as table:
            yield Reference(table, **declared)
    finally:
        execute_sql("DROP TABLE IF EXISTS shop_owner")


def rows() -> list[Any]:
    return execute_sql("SELECT owner_id, owner_id__retired FROM shop_item ORDER BY id")


def test_the_foreign_key_goes_along_with_what_django_does_not_know() -> None:
    with reference(unmappable="keep") as referring:
        referring.retire()
        options = "REFERENCES shop_owner(id) ON DELETE SET NULL"
        assert foreign_keys() == {
            "by_hand": f"FOREIGN KEY (owner_id__retired) {options}",
            referring.django_name: f"FOREIGN KEY (owner_id) {options}",
        }
        assert referring.table.model._meta.get_field("owner").remote_field.related_name == "items"
        execute_sql("INSERT INTO shop_owner VALUES (1), (5000000000)")
        execute_sql("INSERT INTO shop_item (owner_id) VALUES (1), (1), (5000000000)")
        assert rows() == [(1, 1), (1, 1), (5000000000, None)]
        execute_sql("UPDATE shop_item SET owner_id = 5000000000 WHERE id = 2")
        assert rows() == [(1, 1), (5000000000, None), (5000000000, None)]
        with pytest.raises(
            NoWayBack, match="2 rows of shop_item have a value of owner_id that does not fit owner_id__"
        ):
            referring.table.unapply()
        execute_sql("DELETE FROM shop_owner")
        assert rows() == [(None, None)] * 3
        referring.table.unapply()


def test_a_reference_that_was_emptied_holds_no_row() -> None:
    """Not by the foreign key of the retired column, without ON DELETE; and the way back finds it empty."""
    with reference() as referring:
        execute_sql("ALTER TABLE shop_item DROP CONSTRAINT by_hand")
        execute_sql(
            "ALTER TABLE shop_item ADD CONSTRAINT by_hand FOREIGN KEY (owner_id) REFERENCES shop_owner"
        )
        execute_sql("INSERT INTO shop_owner VALUES (1), (5000000000)")
        execute_sql("INSERT INTO shop_item (owner_id) VALUES (1)")
        referring.retire()
        with pytest.raises(IntegrityError, match=r"wide: the value '5000000000' of shop_item\.owner_id has"):
            execute_sql("UPDATE shop_item SET owner_id = 5000000000")
        execute_sql("UPDATE shop_item SET owner_id = NULL")
        execute_sql("DELETE FROM shop_owner")
        assert rows() == [(None, None)]
        referring.table.unapply()
        assert execute_sql("SELECT owner_id FROM shop_item") == [(None,)]


def test_a_reference_to_a_narrow_key_is_told() -> None:
    with reference() as referring:
        execute_sql("ALTER TABLE shop_item ALTER owner_id TYPE bigint")
        table = read_table(referring.change, referring.dual_write)
        assert table
        [obstacle] = find_obstacles(table)
        assert obstacle.startswith(
            "owner_id and owner_v2_id would both be bigint, the type of shop.Owner.id, to"
        )
