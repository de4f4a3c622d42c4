"""The search for cards: any spelling, whoever wrote the cards, and no more work than reading them once."""

import json
from collections.abc import Callable
from threading import Thread
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import Client
from django.test.utils import CaptureQueriesContext

from cards.models import Card, CardSearch
from cards.search import filter_matching
from ops.admin.lists import pagination
from ops.models import Run
from tests.admin_pages import page_text, post_action
from tests.cards.conftest import card as pack_card
from tests.cards.conftest import load
from tests.ops.running import execute_sql, wait_until

LIST = "/admin/cards/card/"
# What is stored differs from what would be stored now.
OUT_OF_STEP = """
SELECT * FROM card_search FULL JOIN cards ON card_search.card_id = cards.id
WHERE text IS DISTINCT FROM card_search_fold(title || E'\\n' || cards.card_id || E'\\n' || pack_id)
"""
TAGS_OUT_OF_STEP = """
SELECT * FROM card_tags FULL JOIN (SELECT DISTINCT id, unnest(tags) AS tag FROM cards) AS stored
    ON (card_id, card_tags.tag) = (id, stored.tag) WHERE card_id IS NULL OR id IS NULL
"""
pytestmark = pytest.mark.django_db


def create(card_id: str, title: str, pack_id: str = "aves") -> Card:
    return Card.objects.create(card_id=card_id, title=title, pack_id=pack_id)


def find(query: str) -> list[str]:
    return list(filter_matching(Card.objects.order_by("card_id"), query).values_list("card_id", flat=True))


TITLES = {
    "condor-1": "Cóndor de los Andes",
    "aguila_2": "A\u0301guila 100% real",
    "strokes": "Øre Łódź Đorđe Þór ÐÓÐ Ħal Ŧet",
    "ligatures": "Straße ŒUVRE Æther ﬁn",
    "wide": "\uff23\uff41\uff52\uff44 İstanbul \u0131\u0131",
    "other-scripts": "Жар-птица שָׁלוֹם مُحَمَّد 한글 ガラス",
    "odd": 'back\\slash "quoted" it\'s\ttabbed\u00a0space',
    "ångström-Ⅳ": "plain",
}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        *((query, ["condor-1"]) for query in ("condor", "CÓNDOR", "co\u0301ndor", "cóndor", "çöndör", "ndo")),
        *((query, ["condor-1"]) for query in ("andes condor", "dor-1 los", '"de los andes"', "aves and")),
        *((query, ["aguila_2"]) for query in ("aguila", "águila", "a\u0301guila", "%", "_", "100%", "% _")),
        ("ore lodz dorde thor", ["strokes"]),
        ("ØRE łódź Đorđe þór ðóð ħal ŧet", ["strokes"]),
        ("dod hal tet", ["strokes"]),
        ("strasse oeuvre aether fin", ["ligatures"]),
        ("STRASSE STRAẞE straße œuvre ﬁn", ["ligatures"]),
        ("card istanbul ii", ["wide"]),
        ("ISTANBUL \uff43\uff41\uff52\uff44", ["wide"]),
        *((word, ["other-scripts"]) for word in ("жар", "ЖАР", "שלום", "محمد", "한글", "한", "ガラス")),
        ("하", []),
        *((query, ["odd"]) for query in ("k\\s", 'k\\slash', '"quoted', "it's", "tabbed space", "\\")),
        ("angstrom", ["ångström-Ⅳ"]),
        ("iv", ["ångström-Ⅳ"]),
        ("a" * 10_000, []),
        (" ".join(f"w{n}" for n in range(2_000)), []),
        ("con\0dor", []),
        ("andes de real", []),
        ("--", []),
        ("x", []),
    ],
)  # fmt: skip
def test_a_card_is_found_however_it_is_spelled(query: str, found: list[str]) -> None:
    for card_id, title in TITLES.items():
        create(card_id, title, "aves" if card_id == "condor-1" else "p")
    assert find(query) == found


WRITES: dict[str, Callable[[], Any]] = {
    "save": lambda: Card(pk=pk("a"), card_id="a", title="Á", pack_id="p").save(),
    "bulk_create": lambda: Card.objects.bulk_create(
        Card(card_id=f"n{n}", title="N", pack_id="p") for n in "12"
    ),
    "bulk_update": lambda: Card.objects.bulk_update([Card(pk=pk("a"), pack_id="Ñ")], ["pack_id"]),
    "update": lambda: Card.objects.update(title="Ünder"),
    "delete": lambda: Card.objects.filter(card_id="a").delete(),
    "UPDATE of a title": lambda: execute_sql("UPDATE cards SET title = 'Ø' WHERE card_id = 'a'"),
    "UPDATE of a card id": lambda: execute_sql("UPDATE cards SET card_id = card_id || '-é'"),
    "UPDATE of a key": lambda: execute_sql("UPDATE cards SET id = id + 1000"),
    "UPDATE before it is filled": lambda: execute_sql(
        "DELETE FROM card_search; UPDATE cards SET title = 'Ö'"
    ),
    "UPDATE of tags": lambda: execute_sql("UPDATE cards SET tags = '{b,c,c,\"d, e\"}'"),
    "UPDATE of a rarity": lambda: execute_sql("UPDATE cards SET rarity = 'rare'"),
    "ON CONFLICT": lambda: execute_sql(
        "INSERT INTO cards (card_id, title, pack_id) VALUES ('a', 'É', 'p'), ('new', 'N', 'p')"
        " ON CONFLICT (card_id) DO UPDATE SET title = EXCLUDED.title"
    ),
    "MERGE": lambda: execute_sql(
        "MERGE INTO cards USING (VALUES ('a'), ('b'), ('c')) AS given (name) ON card_id = name"
        " WHEN MATCHED AND name = 'a' THEN DELETE WHEN MATCHED THEN UPDATE SET title = 'merged'"
        " WHEN NOT MATCHED THEN INSERT (card_id, title, pack_id) VALUES (name, 'C', 'p')"
    ),
    "COPY": lambda: copy("c\tCópia\tp\n"),
    "DELETE": lambda: execute_sql("DELETE FROM cards"),
    "TRUNCATE": lambda: execute_sql("TRUNCATE cards CASCADE"),
}


def pk(card_id: str) -> int:
    return Card.objects.get(card_id=card_id).pk


def copy(rows: str) -> None:
    with (
        connection.cursor() as cursor,
        cursor.copy("COPY cards (card_id, title, pack_id) FROM STDIN") as target,
    ):
        target.write(rows)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_what_a_card_is_found_by_follows_every_write(write: Callable[[], Any]) -> None:
    create("a", "Águila")
    create("b", "Búho")
    Card.objects.update(tags=["a", "b"])
    write()
    assert execute_sql(OUT_OF_STEP) == []
    assert execute_sql(TAGS_OUT_OF_STEP) == []


@pytest.mark.usefixtures("rules", "transactional_db")
def test_loaded_cards_are_found_by_what_they_are_called_now(write: Any) -> None:
    load(write({"cards": [pack_card(), pack_card("águila", title="Águila")]}), "--execute")
    assert (find("condor"), find("aguila")) == (["cóndor"], ["águila"])
    load(write({"cards": [pack_card(title="Buitre")]}), "--execute")
    assert (find("buitre"), execute_sql(OUT_OF_STEP)) == (["cóndor"], [])


def test_a_card_takes_the_place_of_one_that_was_deleted_without_triggers() -> None:
    card = create("a", "A")
    Card.objects.update(tags=["old", "both"])
    execute_sql("SET session_replication_role = replica; DELETE FROM cards; RESET session_replication_role")
    Card.objects.create(pk=card.pk, card_id="b", title="B", pack_id="p", tags=["both", "new"])
    assert (execute_sql(OUT_OF_STEP), execute_sql(TAGS_OUT_OF_STEP)) == ([], [])


def test_a_promotion_calls_no_trigger_of_the_search_or_the_tags() -> None:
    create("a", "A")
    [[[plan]]] = execute_sql(
        "EXPLAIN (ANALYZE, FORMAT JSON) UPDATE cards SET rarity = 'rare', updated_at = now()"
    )
    names = {trigger["Trigger Name"] for trigger in plan["Triggers"]}
    assert {name for name in names if name.startswith(("card_search", "card_tags"))} == set()


def test_a_player_needs_no_right_on_what_cards_are_found_by() -> None:
    card = create("a", "A")
    execute_sql("CREATE ROLE player")
    execute_sql("GRANT ALL ON cards TO player; GRANT ALL ON SEQUENCE cards_id_seq TO player")
    execute_sql(
        "SET ROLE player; SET search_path = pg_temp, public; CREATE TEMPORARY TABLE card_search (x int)"
    )
    create("b", "Búho")
    execute_sql("UPDATE public.cards SET title = 'Ábaco' WHERE id = %s", card.pk)
    execute_sql("RESET ROLE; RESET search_path; DROP TABLE pg_temp.card_search")
    assert (find("buho"), find("abaco"), execute_sql(OUT_OF_STEP)) == (["b"], ["a"], [])


@pytest.mark.django_db(transaction=True)
def test_cards_from_before_the_migration_are_found_after_it() -> None:
    def migrate(name: str) -> None:
        MigrationExecutor(connection).migrate([("cards", name)])

    try:
        migrate("0008_rarity_v2_expand")
        names = [{"card_id": f"c{n}", "title": f"Cóndor {n}", "pack_id": "p"} for n in range(7_000)]
        # Not by the ORM, whose model has the search.
        execute_sql(
            "INSERT INTO cards (card_id, title, pack_id, tags) SELECT card_id, title, pack_id, '{a,b,a}'"
            " FROM jsonb_to_recordset(%s) AS given (card_id text, title text, pack_id text)",
            json.dumps(names),
        )
    finally:
        migrate("0010_card_tags")
    assert (find("condor 6999"), execute_sql(OUT_OF_STEP)) == (["c6999"], [])
    assert execute_sql(TAGS_OUT_OF_STEP) == []
    CardSearch.objects.filter(text__contains="condor 1").delete()
    fill()
    assert execute_sql(OUT_OF_STEP) == []


def fill(migration: str = "0009_card_search") -> None:
    """Fill the table as the migration does."""
    executor = MigrationExecutor(connection)
    *_, operation = executor.loader.get_migration("cards", migration).operations
    with connection.schema_editor(atomic=False) as editor:
        operation.code(executor.loader.project_state().apps, editor)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("migration", "statement"),
    [
        ("0009_card_search", "DELETE FROM cards"),
        ("0009_card_search", "UPDATE cards SET card_id = 'ñ'"),
        ("0010_card_tags", "DELETE FROM cards"),
        ("0010_card_tags", "UPDATE cards SET tags = '{b}'"),
    ],
)
def test_a_card_that_changes_while_the_table_is_filled_is_not_forgotten(
    migration: str, statement: str
) -> None:
    def fill_in_thread() -> None:
        fill(migration)
        connection.close()

    create("a", "Águila")
    Card.objects.update(tags=["a"])
    execute_sql(f"DELETE FROM {migration.partition('_')[2]}")
    with psycopg.connect(**connection.get_connection_params()) as player:
        player.execute(statement)
        filling = Thread(target=fill_in_thread)
        filling.start()
        wait_until(lambda: execute_sql("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
    filling.join()
    assert (execute_sql(OUT_OF_STEP), execute_sql(TAGS_OUT_OF_STEP)) == ([], [])


def count_rows_read(sql: str) -> dict[str, int]:
    """Return the rows of each table that PostgreSQL reads for a query."""
    read = {"cards": 0, "card_search": 0, "card_tags": 0}

    def add(node: dict[str, Any]) -> None:
        if table := node.get("Relation Name"):
            each = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
            read[table] += round(each * node["Actual Loops"])
        for part in node.get("Plans", []):
            add(part)

    [[[explained]]] = execute_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
    add(explained["Plan"])
    return read


def test_a_search_reads_no_more_than_it_must(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def search(query: str) -> list[dict[str, int]]:
        """Return what was read to find the keys of the list, and then those of a page by key."""
        with CaptureQueriesContext(connection) as queries:
            assert staff.get(f"{LIST}?{query}").status_code == 200
        searches = [sql for each in queries if "LIKE" in (sql := each["sql"]) and "EXPLAIN" not in sql]
        return [count_rows_read(sql[sql.index("SELECT") :]) for sql in searches]

    monkeypatch.setattr(pagination, "MAX_COUNTED_ROWS", 100)
    execute_sql(
        "INSERT INTO cards (card_id, title, pack_id)"
        " SELECT 'c-' || n, CASE n % 2 WHEN 0 THEN 'Cóndor' ELSE 'Loro' END, 'p'"
        " FROM generate_series(1, 20000) AS n"
    )
    execute_sql("ANALYZE cards, card_search")
    assert search("q=c-12345") == [{"cards": 1, "card_search": 20_000, "card_tags": 0}]
    assert search("q=nowhere") == [{"cards": 0, "card_search": 20_000, "card_tags": 0}]
    for page in ("1", f"after-{pk('c-10000')}", f"before-{pk('c-10000')}", "last"):
        assert max(max(read.values()) for read in search(f"q=condor&p={page}")) < 1_000


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


@pytest.mark.parametrize(
    ("query", "texts"),
    [
        ("q=k%C3%B3ndor", ["No card matches “kóndor”", "A part of a word is enough", "search kóndor"]),
        (
            "q=condor&rarity__exact=epic",
            ["No card matches “condor” with these filters", "Remove a filter", "rarity epic"],
        ),
        ("rarity_v2__isnull=True", ["No card matches these filters", "rarity v2 Missing", "Show all cards"]),
    ],
)
def test_an_empty_list_says_what_to_do(staff: Client, query: str, texts: list[str]) -> None:
    create("a", "Cóndor")
    text = page_text(staff.get(f"{LIST}?{query}"))
    assert [part for part in texts if part not in text] == []


@pytest.mark.parametrize("url", ["/admin/auth/user/?is_staff__exact=0", f"{LIST}?_popup=1&pack_id__exact=p"])
def test_an_empty_list_speaks_of_no_filters_that_it_does_not_show(staff: Client, url: str) -> None:
    assert "matches these filters Remove a filter. Show all" in page_text(staff.get(url))


def test_a_list_without_cards_offers_to_add_one(staff: Client) -> None:
    text = page_text(staff.get(LIST))
    assert "There are no cards yet" in text
    assert "Add card" in text


def test_each_condition_of_the_list_can_be_removed_alone(staff: Client) -> None:
    create("a", "Cóndor")
    page = staff.get(f"{LIST}?q=condor&pack_id__exact=aves&rarity_v2__isnull=False&o=1&p=1")
    conditions = page.context["cl"].conditions
    assert [(each.title, each.value, each.remove_url) for each in conditions] == [
        ("search", "condor", "?o=1&pack_id__exact=aves&rarity_v2__isnull=False"),
        ("pack id", "aves", "?o=1&q=condor&rarity_v2__isnull=False"),
        ("rarity v2", "Present", "?o=1&pack_id__exact=aves&q=condor"),
    ]
    assert page.context["cl"].unconditional_url == "?o=1"
    assert 'value="condor"' in page.content.decode()
    assert all(staff.get(LIST + each.remove_url).context["cl"].result_count == 1 for each in conditions)


@pytest.mark.usefixtures("redis_server")
@pytest.mark.parametrize("counted", [2, 100])
def test_all_rows_of_a_search_are_those_that_the_list_shows(
    staff: Client, monkeypatch: pytest.MonkeyPatch, counted: int
) -> None:
    monkeypatch.setattr(pagination, "MAX_COUNTED_ROWS", counted)
    found = {str(create(f"{n}", "Cóndor").pk) for n in range(5)}
    create("x", "Loro")
    Card.objects.update(rarity_v2=None)
    page = staff.get(f"{LIST}?q=CONDOR+c%C3%B3n")
    assert str(page.context["cl"].result_count) == ("2+" if counted == 2 else "5")
    staff.post(post_action(staff, query="q=CONDOR+c%C3%B3n"))
    assert set(Run.objects.get().keys.values_list("object_id", flat=True)) == found
