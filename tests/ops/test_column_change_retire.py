"""The old column gets another name, goes on being filled, comes back, and is dropped at last."""

import re
import shlex
from collections.abc import Iterator

import pytest
from django.db import IntegrityError, models
from django.db.migrations import AlterField, CreateModel, SeparateDatabaseAndState

from ops.column_changes.migration_operations import DropColumn
from ops.column_changes.obstructions import ColumnInUse, NoWayBack
from ops.column_changes.retire_operations import RetireColumn
from ops.sql.column_names import retired_name
from ops.sql.dual_write import DualWrite, dual_writes_off
from tests.ops.changing import MigratedTable, migrated_table
from tests.ops.running import execute_sql

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

DUAL_WRITE = DualWrite(
    "shop_rarity", "shop_item", "rarity", "rarity_v2", "{old}", "{new}", default="'common'"
)
RETIRE = RetireColumn("item", "rarity", "rarity_v2", DUAL_WRITE, "rarity__retired")
SWAP = RetireColumn("item", "rarity", "rarity_v2", DUAL_WRITE, "rarity__retired", swap=True)
DROP = DropColumn(RETIRE.retired_dual_write)


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


def test_the_retired_column_is_filled_while_rows_are_loaded(table: MigratedTable) -> None:
    execute_sql("INSERT INTO shop_item (rarity) VALUES ('epic')")
    table.apply(RETIRE)
    with dual_writes_off():
        execute_sql("INSERT INTO shop_item (rarity_v2) VALUES ('rare')")
        execute_sql("UPDATE shop_item SET rarity_v2 = 'foil' WHERE rarity_v2 = 'epic'")
    table.unapply()
    assert execute_sql("SELECT rarity, rarity_v2 FROM shop_item ORDER BY id") == [
        ("foil", "foil"), ("rare", "rare"),
    ]  # fmt: skip


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
    table.apply(DROP)
    execute_sql("INSERT INTO shop_item (rarity_v2) VALUES ('rare')")
    assert execute_sql("SELECT * FROM shop_item") == [(1, "rare")]
    with pytest.raises(NoWayBack, match=r"comes back only by restoring a backup\. There is no verified one"):
        table.unapply()


def test_the_new_columns_default_is_set_by_retire(table: MigratedTable) -> None:
    """Before, it would look like a value in a row that names only the old one."""
    final = models.CharField(max_length=64, null=True, db_default="rare")
    table.apply(SeparateDatabaseAndState(state_operations=[AlterField("item", "rarity_v2", final)]))
    default = (
        "SELECT column_default FROM information_schema.columns"
        " WHERE table_name = 'shop_item' AND column_name = 'rarity_v2'"
    )
    table.apply(RETIRE)
    assert execute_sql(default) == [("'rare'::character varying",)]
    execute_sql("INSERT INTO shop_item DEFAULT VALUES")
    assert execute_sql("SELECT rarity__retired, rarity_v2 FROM shop_item") == [("rare", "rare")]
    table.unapply()
    assert execute_sql(default) == [(None,)]
    table.apply(RETIRE)
    table.apply(DROP)
    assert execute_sql(default) == [("'rare'::character varying",)]


# What depends on the column `rarity`, and how it is told.
DEPENDENTS = {
    "view": ("CREATE VIEW shop_rare AS SELECT rarity FROM shop_item", "view shop_rare"),
    "materialized view": (
        "CREATE MATERIALIZED VIEW shop_rare AS SELECT id FROM shop_item WHERE rarity = 'rare'",
        "materialized view shop_rare",
    ),
    "policy": (
        "CREATE POLICY shop_rare ON shop_item USING (rarity = 'rare')",
        "policy shop_rare on table shop_item",
    ),
    "trigger": (
        "CREATE TRIGGER shop_rare BEFORE UPDATE OF rarity ON shop_item"
        " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "trigger shop_rare on table shop_item",
    ),
    "generated column": (
        "ALTER TABLE shop_item ADD shop_rare int GENERATED ALWAYS AS (length(rarity)) STORED",
        "generated column shop_rare",
    ),
    "function": (
        "CREATE FUNCTION shop_rare() RETURNS text BEGIN ATOMIC SELECT rarity FROM shop_item; END",
        "function shop_rare()",
    ),
    "foreign key": (
        "ALTER TABLE shop_item ADD CONSTRAINT shop_unique UNIQUE (rarity);"
        "CREATE TABLE shop_rare (rarity varchar(32) CONSTRAINT shop_rare REFERENCES shop_item (rarity))",
        "constraint shop_rare on table shop_rare",
    ),
}


@pytest.fixture
def dependent(table: MigratedTable, request: pytest.FixtureRequest) -> Iterator[str]:
    """Create something that depends on the column; how it is told."""
    statement, words = DEPENDENTS[request.param]
    execute_sql(statement)
    yield words
    execute_sql("DROP FUNCTION IF EXISTS shop_rare")
    if words.startswith("constraint"):
        execute_sql("DROP TABLE shop_rare")


@pytest.mark.parametrize("dependent", DEPENDENTS, indirect=True)
def test_what_cannot_go_with_the_name_is_told(table: MigratedTable, dependent: str) -> None:
    with pytest.raises(
        ColumnInUse, match=rf"^shop_item\.rarity is used by {re.escape(dependent)}\. Drop what"
    ):
        table.apply(SWAP)
    table.apply(RETIRE)
    with pytest.raises(
        ColumnInUse, match=rf"^shop_item\.rarity__retired is used by {re.escape(dependent)}\. "
    ):
        table.apply(DROP)
    table.unapply()


def test_a_column_of_the_retired_name_is_told(table: MigratedTable) -> None:
    execute_sql("ALTER TABLE shop_item ADD rarity__retired int")
    with pytest.raises(
        ColumnInUse, match=r"^The table shop_item has a column rarity__retired already\. It holds"
    ):
        table.apply(RETIRE)


def test_publications_and_statistics_go_with_the_name(table: MigratedTable) -> None:
    execute_sql(
        "CREATE PUBLICATION shop_all FOR TABLE shop_item (id, rarity) WHERE (rarity <> 'common');"
        "CREATE PUBLICATION shop_rows FOR TABLE shop_item WHERE (id > 5);"
        "CREATE STATISTICS shop_statistics (dependencies) ON id, rarity FROM shop_item"
    )
    published = (
        "SELECT pubname, attnames, rowfilter FROM pg_publication_tables WHERE pubname LIKE 'shop%' ORDER BY 1"
    )
    statistics = "SELECT pg_get_statisticsobjdef(oid) FROM pg_statistic_ext"
    try:
        before = [execute_sql(published)[0], execute_sql(statistics)]
        table.apply(SWAP)
        assert [execute_sql(published)[0], execute_sql(statistics)] == before
        table.apply(DropColumn(SWAP.retired_dual_write))
        assert [execute_sql(published)[0], execute_sql(statistics)] == before
    finally:
        execute_sql("DROP PUBLICATION shop_all, shop_rows")


def test_a_published_column_is_not_retired(table: MigratedTable) -> None:
    """Its subscribers know it by its name only."""
    execute_sql("CREATE PUBLICATION shop_all FOR TABLE shop_item (id, rarity)")
    try:
        with pytest.raises(
            ColumnInUse, match=r"column list or the row filter of the publication shop_all\. Take"
        ):
            table.apply(RETIRE)
    finally:
        execute_sql("DROP PUBLICATION shop_all")


@pytest.fixture
def reader() -> Iterator[None]:
    execute_sql('DROP ROLE IF EXISTS "a reader"; CREATE ROLE "a reader"')
    yield
    execute_sql('DROP OWNED BY "a reader"; DROP ROLE "a reader"')


@pytest.mark.usefixtures("reader")
def test_whoever_may_read_the_old_column_may_read_the_new_one() -> None:
    def may_read(column: str) -> bool:
        [(answer,)] = execute_sql(
            "SELECT has_column_privilege('a reader', 'shop_item', %s, 'SELECT')", column
        )
        return bool(answer)

    with migrated_table(rarity=models.CharField(max_length=32, db_default="common")) as table:
        table.create()
        execute_sql(
            'GRANT SELECT (rarity) ON shop_item TO "a reader"; GRANT UPDATE (rarity) ON shop_item TO PUBLIC'
        )
        table.expand("rarity_v2", models.CharField(max_length=64, null=True), DUAL_WRITE)
        assert may_read("rarity_v2")
        execute_sql('REVOKE SELECT (rarity_v2) ON shop_item FROM "a reader"')
        table.apply(SWAP)
        assert may_read("rarity")
        assert not may_read("id")


KEEPING = DualWrite(
    "shop_rarity", "shop_item", "rarity", "rarity_v2", "{old}", "nullif({new}, 'foil')", keeps=True
)


def test_a_new_value_without_an_old_one_is_kept_after_retire() -> None:
    with migrated_table(rarity=models.CharField(max_length=32)) as table:
        table.create()
        table.expand("rarity_v2", models.CharField(max_length=64, null=True), KEEPING)
        with pytest.raises(IntegrityError):
            execute_sql("INSERT INTO shop_item (rarity_v2) VALUES ('foil')")
        retire = RetireColumn("item", "rarity", "rarity_v2", KEEPING, "rarity__retired")
        table.apply(retire)
        execute_sql("INSERT INTO shop_item (rarity_v2) VALUES ('foil')")
        with pytest.raises(NoWayBack) as raised:
            table.unapply()
        message = str(raised.value)
        assert message.startswith(
            "shop_item.rarity__retired is empty in 1 row, whose rarity_v2 has no old value; and the column"
            " may not be empty. Give them one: psql "
        )
        fill = shlex.split(message)[-1]
        execute_sql("SET ops.dual_write = off")
        execute_sql(fill.replace("VALUE", "'epic'"))
        execute_sql("RESET ops.dual_write")
        table.unapply()
        assert execute_sql("SELECT rarity, rarity_v2 FROM shop_item") == [("epic", "foil")]
        with pytest.raises(IntegrityError):
            execute_sql("INSERT INTO shop_item (rarity_v2) VALUES ('foil')")


@pytest.mark.parametrize("swap", [False, True])
def test_odd_names_and_a_table_in_another_schema(swap: bool) -> None:
    old, new, retired = "The Title", "select", retired_name("The Title")
    execute_sql('CREATE SCHEMA "Other schema"')
    try:
        with migrated_table(title=models.TextField(unique=True, db_column=old)) as table:
            table.options["db_table"] = '"Other schema"."Odd items"'
            table.create(indexes=[models.Index("title", name="Odd %s")])
            dual_write = DualWrite("shop_odd", table.options["db_table"], old, new, "{old}", "{new}")
            table.expand("copy", models.TextField(null=True, db_column=new), dual_write)
            retire = RetireColumn("item", "title", "copy", dual_write, retired, swap)
            table.apply(retire)
            table.unapply()
            table.apply(retire)
            item = table.model.objects.create(**{"title" if swap else "copy": "100 %"})
            found = execute_sql('SELECT * FROM "Other schema"."Odd items"')
            assert found == [(item.pk, "100 %", "100 %")]
            table.apply(DropColumn(retire.retired_dual_write))
            assert list(table.model.objects.values_list("title" if swap else "copy")) == [("100 %",)]
    finally:
        execute_sql('DROP SCHEMA IF EXISTS "Other schema" CASCADE')


def test_a_partitioned_table_is_retired_as_a_whole() -> None:
    with migrated_table(rarity=models.TextField()) as table:
        execute_sql(
            "CREATE TABLE shop_item (id bigint GENERATED BY DEFAULT AS IDENTITY, rarity text NOT NULL)"
            " PARTITION BY HASH (id);"
            "CREATE TABLE shop_part PARTITION OF shop_item FOR VALUES WITH (MODULUS 1, REMAINDER 0)"
        )
        create = CreateModel("Item", table.fields, options=table.options)
        table.apply(SeparateDatabaseAndState(state_operations=[create]))
        table.expand("rarity_v2", models.CharField(max_length=64, null=True), DUAL_WRITE)
        table.apply(SWAP)
        execute_sql("INSERT INTO shop_part (id, rarity) VALUES (1, 'epic')")
        assert execute_sql("SELECT rarity__retired, rarity FROM shop_item") == [("epic", "epic")]
        table.unapply()
        assert execute_sql("SELECT rarity, rarity_v2 FROM shop_part") == [("epic", "epic")]
