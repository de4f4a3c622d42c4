"""The old column gets another name, goes on being filled, comes back, and is dropped at last."""

from collections.abc import Iterator

import pytest
from django.db import models

from ops.column_changes.migration_operations import DropColumn, RetireColumn
from ops.column_changes.obstructions import NoWayBack
from ops.sql.dual_write import DualWrite
from tests.ops.changing import MigratedTable, migrated_table
from tests.ops.running import execute_sql

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

DUAL_WRITE = DualWrite("rarity_v2", "shop_item", "rarity", "rarity_v2", "{old}", "{new}", default="'common'")
RETIRE = RetireColumn("item", "rarity", "rarity_v2", DUAL_WRITE, "rarity__retired")


@pytest.fixture
def table() -> Iterator[MigratedTable]:
    with migrated_table(rarity=models.CharField(max_length=32, db_default="common")) as table:
        table.create(
            indexes=[models.Index("rarity", name="idx_rarity")],
            constraints=[models.CheckConstraint(condition=~models.Q(rarity=""), name="rarity_not_empty")],
        )
        table.expand("rarity_v2", models.CharField(max_length=64, null=True), DUAL_WRITE)
        yield table


def names(query: str) -> set[str]:
    return {name for (name,) in execute_sql(query)}


def constraint_names() -> set[str]:
    return names("SELECT conname FROM pg_constraint WHERE conrelid = 'shop_item'::regclass")


def index_names() -> set[str]:
    return names("SELECT indexname FROM pg_indexes WHERE tablename = 'shop_item'")


def test_the_retired_column_goes_on_being_filled(table: MigratedTable) -> None:
    execute_sql("INSERT INTO shop_item (rarity) VALUES ('epic')")
    table.apply(RETIRE)
    execute_sql("INSERT INTO shop_item (rarity_v2) VALUES ('rare')")
    execute_sql("UPDATE shop_item SET rarity_v2 = 'foil' WHERE rarity_v2 = 'epic'")
    execute_sql("INSERT INTO shop_item DEFAULT VALUES")
    rows = "SELECT {}, rarity_v2 FROM shop_item ORDER BY id"
    expected = [("foil", "foil"), ("rare", "rare"), ("common", "common")]
    assert execute_sql(rows.format("rarity__retired")) == expected
    table.unapply()
    assert execute_sql(rows.format("rarity")) == expected


def test_constraints_and_indexes_go_with_the_retired_column(table: MigratedTable) -> None:
    before = constraint_names(), index_names()
    table.apply(RETIRE)
    assert {"rarity_not_empty__retired"} <= constraint_names()
    assert {"idx_rarity__retired"} <= index_names()
    assert not {"rarity_not_empty", "shop_item_rarity_not_null", "idx_rarity"} & (
        constraint_names() | index_names()
    )
    assert (table.model._meta.indexes, table.model._meta.constraints) == ([], [])
    table.unapply()
    assert (constraint_names(), index_names()) == before


def test_a_drop_is_not_taken_back(table: MigratedTable) -> None:
    table.apply(RETIRE)
    table.apply(DropColumn(RETIRE.retired_dual_write))
    execute_sql("INSERT INTO shop_item (rarity_v2) VALUES ('rare')")
    assert execute_sql("SELECT * FROM shop_item") == [(1, "rare")]
    with pytest.raises(NoWayBack, match=r"comes back only by restoring a backup\. There is no verified one"):
        table.unapply()
