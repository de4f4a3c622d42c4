"""The migrations of cards, the example of the guide: each step keeps existing cards unchanged."""

from collections.abc import Iterator
from itertools import count
from threading import Event, Thread
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.db.migrations import AddField, AlterField, CreateModel
from django.db.migrations.executor import MigrationExecutor
from django.db.models import NOT_PROVIDED, Field

from cards.operations import RarityV2
from ops.column_changes.migration_operations import AddDualWrite
from ops.column_changes.planning.plan import compile_change
from ops.migration_status import read_migration_status
from ops.schema.drift import detect_drift
from tests.cards.rarities import inserted, updated
from tests.ops.running import wait_until

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


def results() -> dict[Any, Any]:
    """Return what is stored after each insert, which has no old pair, and after each update."""
    return {(None, new): stored for new, stored in inserted().items()} | updated()


@pytest.mark.parametrize("name", EARLIER)
def test_the_triggers_do_the_same_as_the_older_ones(migrate: Any, name: str) -> None:
    now = results()
    migrate(name)
    before = results()
    # Before, a rarity of NULL was refused, also where rarity_v2 was given.
    accepted = [each for each in now if all(pair is None or pair[0] for pair in each)]
    assert {each: now[each] for each in accepted} == {each: before[each] for each in accepted}


@pytest.mark.parametrize("name", [*EARLIER, "0002_card_rarity_v2"])
def test_migrating_back_leaves_no_function_of_a_trigger_behind(migrate: Any, name: str) -> None:
    migrate(name)
    assert detect_drift(read_migration_status()) == []
    migrate("0008_rarity_v2_expand")
    assert detect_drift(read_migration_status()) == []


def test_players_write_both_columns_while_the_triggers_are_replaced(migrate: Any) -> None:
    """Three players write while 0008 is applied and taken back: no column misses what the other was given."""
    migrate("0007_split_keep_rarity_equal")
    stopped, failures = Event(), []

    def play(statement: str) -> None:
        try:
            with psycopg.connect(**connection.get_connection_params(), autocommit=True) as player:
                for number in count():
                    if stopped.is_set():
                        return
                    player.execute(statement, [number, ("common", "rare", "epic")[number % 3]])
        except Exception as exc:
            failures.append(exc)

    statements = [
        "INSERT INTO cards (card_id, title, pack_id, rarity) VALUES ('i' || %s, 'C', 'p', %s)",
        "WITH given AS (SELECT %s::int) UPDATE cards SET rarity = %s WHERE card_id IN ('i1', 'i2')",
        "WITH given AS (SELECT %s::int) UPDATE cards SET rarity_v2 = %s WHERE card_id IN ('i3', 'i4')",
    ]
    players = [Thread(target=play, args=[statement]) for statement in statements]
    for player in players:
        player.start()
    for name in ["0008_rarity_v2_expand", "0007_split_keep_rarity_equal"] * 3:
        written = sql("SELECT count(*) FROM cards")[0][0]
        wait_until(lambda written=written: sql("SELECT count(*) FROM cards")[0][0] > written)
        migrate(name)
    stopped.set()
    for player in players:
        player.join()
    assert failures == []
    assert sql("SELECT card_id, rarity, rarity_v2 FROM cards WHERE rarity IS DISTINCT FROM rarity_v2") == []


def test_the_migration_holds_what_comes_from_the_declaration() -> None:
    migration = MigrationExecutor(connection).loader.get_migration("cards", "0008_rarity_v2_expand")
    [add] = [operation for operation in migration.operations if isinstance(operation, AddDualWrite)]
    assert add.dual_write == compile_change(RarityV2)


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
