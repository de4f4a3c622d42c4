"""The migrations of cards, the example of the guide: each step keeps existing cards unchanged."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.migrations import AddField, AlterField, CreateModel
from django.db.migrations.executor import MigrationExecutor
from django.db.models import NOT_PROVIDED, Field

from ops.migration_status import read_migration_status
from ops.schema.drift import detect_drift
from tests.cards.rarities import inserted, updated

pytestmark = pytest.mark.django_db(transaction=True)

EARLIER = ["0006_asset_checksum_unknown", "0007_split_keep_rarity_equal"]


@pytest.fixture
def migrate() -> Iterator[Any]:
    def to(name: str) -> None:
        executor = MigrationExecutor(connection)
        executor.migrate([("cards", name)])

    yield to
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes("cards"))


def sql(statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def test_old_cards_need_the_backfill_and_new_ones_are_kept_equal(migrate: Any) -> None:
    migrate("0001_catalogue")
    sql("INSERT INTO cards (card_id, title, pack_id, rarity) VALUES ('old', 'Old', 'p', 'rare')")
    migrate("0002_card_rarity_v2")
    sql("INSERT INTO cards (card_id, title, pack_id, rarity) VALUES ('between', 'Between', 'p', 'rare')")
    migrate("0003_keep_rarity_equal")
    sql("INSERT INTO cards (card_id, title, pack_id, rarity) VALUES ('new', 'New', 'p', 'rare')")
    migrate("0004_idx_cards_pack_rarity")
    rows = sql("SELECT card_id, rarity_v2 FROM cards ORDER BY id")
    assert rows == [("old", None), ("between", None), ("new", "rare")]


def test_migrating_back_drops_rarity_v2_and_the_trigger_that_watches_it(migrate: Any) -> None:
    sql("INSERT INTO cards (card_id, title, pack_id, rarity) VALUES ('kept', 'Kept', 'p', 'rare')")
    migrate("0001_catalogue")
    assert sql("SELECT tgname FROM pg_trigger WHERE tgrelid = 'cards'::regclass AND NOT tgisinternal") == []
    assert (
        sql("SELECT 1 FROM pg_attribute WHERE attrelid = 'cards'::regclass AND attname = 'rarity_v2'") == []
    )
    assert sql("SELECT card_id, rarity FROM cards") == [("kept", "rare")]


def test_the_index_of_packs_and_rarities_is_valid_and_rarity_v2_has_none() -> None:
    rows = sql(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid), indisvalid FROM pg_index"
        " WHERE indrelid = 'cards'::regclass"
    )
    definitions = {name: definition for name, definition, valid in rows if valid}
    assert definitions["idx_cards_pack_rarity"].endswith("(pack_id, rarity)")
    assert not any("rarity_v2" in definition for definition in definitions.values())


@pytest.mark.parametrize("name", EARLIER)
def test_the_triggers_do_the_same_as_the_older_ones(migrate: Any, name: str) -> None:
    now, updates = inserted(), updated()
    migrate(name)
    assert updated() == updates
    before = inserted()
    assert {given for given in now if now[given] != before[given]} == {given for given in now if not given[0]}


@pytest.mark.parametrize("name", [*EARLIER, "0002_card_rarity_v2"])
def test_migrating_back_leaves_no_function_of_a_trigger_behind(migrate: Any, name: str) -> None:
    migrate(name)
    assert detect_drift(read_migration_status()) == []
    migrate("0008_rarity_v2_expand")
    assert detect_drift(read_migration_status()) == []


def must_be_given(field: "Field[Any, Any]") -> bool:
    return not field.null and field.db_default is NOT_PROVIDED


@pytest.mark.parametrize("app", ["cards", "ops"])
def test_code_that_does_not_know_a_new_column_can_still_add_rows(app: str) -> None:
    nodes = MigrationExecutor(connection).loader.graph.nodes
    operations = [
        operation
        for (label, _), migration in sorted(nodes.items())
        if label == app
        for operation in migration.operations
    ]
    allowed = {
        (operation.name_lower, name)
        for operation in operations
        if isinstance(operation, CreateModel)
        for name, field in operation.fields
        if must_be_given(field)
    }
    fields = {
        (operation.model_name_lower, operation.name_lower): operation.field
        for operation in operations
        if isinstance(operation, AddField | AlterField)
    }
    assert fields
    assert {name for name, field in fields.items() if must_be_given(field)} <= allowed
