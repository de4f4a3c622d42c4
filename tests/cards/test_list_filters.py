"""The filters of the list of cards: by tag, by thumbnail, by the last change. Each page is bounded work."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from cards.admin.filters import TagFilter
from cards.models import Card, PresentationRule
from ops.admin.lists import changelist, filters, keyset_pages
from ops.models import AuditLog, Run
from ops.sql import last_changes
from tests.admin_pages import page_text, post_action
from tests.cards.test_search import count_rows_read
from tests.ops.running import execute_sql

LIST = "/admin/cards/card/"
pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


def create(card_id: str, *tags: str, **values: Any) -> Card:
    return Card.objects.create(card_id=card_id, title=card_id, pack_id="p", tags=tags, **values)


def list_ids(staff: Client, query: str) -> list[str]:
    page = staff.get(f"{LIST}?{query}")
    assert page.status_code == 200
    return [card.card_id for card in page.context["cl"].result_list]


def audit(card: Card, person: str, run: Run | None = None) -> None:
    AuditLog.objects.create(
        run=run, action="a", object_type="cards.card", object_id=str(card.pk), performed_by=person, changes={}
    )


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("tags__contains=red", ["c", "b", "a"]),
        ("tags__contains=red&q=A", ["a"]),
        ("tags__contains=red&rarity__exact=rare", ["b"]),
        ("tags__contains=a%2C+%22b%22", ["d"]),
        ("tags__contains=a", []),
        ("tags__contains=re%", []),
        ("tags__contains=red&o=2", ["a", "b", "c"]),
    ],
)
def test_cards_are_found_by_a_tag(staff: Client, query: str, found: list[str]) -> None:
    create("a", "red", "blue")
    create("b", "red", rarity="rare")
    create("c", "red", "red")
    create("d", 'a, "b"')
    assert list_ids(staff, query) == found


def test_a_page_of_a_tag_reads_its_own_rows(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changelist.pagination, "MAX_COUNTED_ROWS", 100)
    execute_sql(
        "INSERT INTO cards (card_id, title, pack_id, rarity, tags) SELECT 'c-' || n, 'T', 'p',"
        " CASE n % 2 WHEN 0 THEN 'rare' ELSE 'common' END,"
        " CASE WHEN n = 7 THEN '{one}' ELSE '{many}' END::varchar[] FROM generate_series(1, 20000) AS n"
    )
    execute_sql("ANALYZE cards, card_search, card_tags")
    middle = Card.objects.get(card_id="c-10000").pk
    for query, most in {
        "tags__contains=one": 2,
        "tags__contains=none": 0,
        "tags__contains=many": 1_000,
        f"tags__contains=many&p=after-{middle}": 1_000,
        f"tags__contains=many&p=before-{middle}": 1_000,
        "tags__contains=many&p=last": 1_000,
        "tags__contains=many&rarity__exact=rare": 1_000,
    }.items():
        with CaptureQueriesContext(connection) as queries:
            staff.get(f"{LIST}?{query}")
        reads = count_reads(queries, "INNER JOIN card_tags")
        assert reads
        assert max(max(read.values()) for read in reads) <= most


def count_reads(queries: CaptureQueriesContext, part: str) -> list[dict[str, int]]:
    """Return the rows that were read by each query that contains the part."""
    statements = [sql.replace('"', "") for each in queries if "EXPLAIN" not in (sql := each["sql"])]
    return [count_rows_read(sql[sql.index("SELECT") :]) for sql in statements if part in sql]


@pytest.mark.parametrize("hits", ["many", "one", "none"])
def test_a_search_with_a_rarity_reads_no_more_than_it_must(
    staff: Client, monkeypatch: pytest.MonkeyPatch, hits: str
) -> None:
    monkeypatch.setattr(changelist.pagination, "MAX_COUNTED_MATCHES", 100)
    execute_sql(
        "INSERT INTO cards (card_id, title, pack_id, rarity)"
        " SELECT 'c-' || n, CASE n WHEN 77 THEN 'one' ELSE 'many' END, 'p',"
        " CASE n % 4 WHEN 1 THEN 'rare' ELSE 'common' END FROM generate_series(1, 40000) AS n"
    )
    execute_sql("ANALYZE cards, card_search")
    with CaptureQueriesContext(connection) as queries:
        page = staff.get(f"{LIST}?q={hits}&rarity__exact=rare")
    reads = count_reads(queries, "LIKE")
    count = {"many": "100+", "one": "1", "none": "0"}[hits]
    assert str(page.context["cl"].result_count) == count
    assert sum(each["card_search"] for each in reads) <= (2_000 if hits == "many" else 40_000)
    assert sum(each["cards"] for each in reads) <= (2_000 if hits == "many" else 1)


def make_thumbnails() -> None:
    """Leave a card without thumbnail, one with a thumbnail of another rule, and one that is up to date."""
    rule = PresentationRule.objects.create(rarity="common", frame_color="#CCCCCC", sort_order=1)
    for name in ("none", "stale", "made"):
        create(name, image="a.png")
    name = (
        "UPDATE cards SET thumbnail = 'thumbnails/aa/' || md5(cards.id || ' ' || image) || '-'"
        " || left(md5(frame_color || ' ' || glow_effect::text || ' ' || badge_icon || ' 2'), 12)"
        " || '-0123456789abcdef.webp' FROM presentation_rules WHERE card_id = %s"
    )
    execute_sql(name, "stale")
    rule.frame_color = "#000000"
    rule.save()
    execute_sql(name, "made")


@pytest.mark.parametrize("state", ["none", "stale", "made"])
def test_cards_are_found_by_the_state_of_their_thumbnail(staff: Client, state: str) -> None:
    make_thumbnails()
    assert list_ids(staff, f"thumbnail={state}") == [state]
    assert list_ids(staff, f"thumbnail={state}&q={state}") == [state]
    assert list_ids(staff, f"thumbnail={state}&q=nowhere") == []


def test_an_unknown_state_of_a_thumbnail_is_refused(staff: Client) -> None:
    assert staff.get(f"{LIST}?thumbnail=x").status_code == 302  # to the list, with Django's ?e=1
    assert staff.get(f"{LIST}?changed_in=x").status_code == 302


@pytest.fixture
def _short_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (keyset_pages, changelist):
        monkeypatch.setattr(module, "SCANNED_ROWS", 3)


@pytest.mark.usefixtures("_short_scans")
@pytest.mark.parametrize("order", ["", "&o=2", "&o=-2"])
def test_a_page_looks_at_some_cards_only_and_leads_to_the_rest(staff: Client, order: str) -> None:
    for n in range(10):
        create(f"c{n}", thumbnail="" if n in (1, 8) else "x")
    query, pages, texts = f"?thumbnail=none{order}", [], []
    while query:
        page = staff.get(f"{LIST}{query}")
        texts.append(page_text(page))
        pages.append([card.card_id for card in page.context["cl"].result_list])
        query = dict(page.context["cl"].page_links).get("Next", "")
    found = [["c8"], [], ["c1"], []]
    assert pages == (found if order != "&o=2" else [["c1"], [], ["c8"], []])
    assert "3 cards were looked at" in texts[0]
    assert "None so far: 3 cards were looked at Look on" in texts[1]


@pytest.mark.usefixtures("_short_scans")
def test_few_cards_of_other_filters_are_looked_at_at_once(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(10):
        create(f"c{n}", "red" if n < 2 else "blue")
    assert list_ids(staff, "thumbnail=none&tags__contains=red") == ["c1", "c0"]
    assert list_ids(staff, "thumbnail=none&q=c0") == ["c0"]
    monkeypatch.setattr(changelist.pagination, "MAX_COUNTED_MATCHES", 1)
    assert list_ids(staff, "thumbnail=none&tags__contains=red") == []  # among the first three
    last = Card.objects.get(card_id="c2").pk
    assert list_ids(staff, f"thumbnail=none&tags__contains=red&p=after-{last}") == ["c1", "c0"]


@pytest.mark.usefixtures("_short_scans", "redis_server")
def test_a_run_over_a_scanned_list_has_all_of_its_cards(staff: Client) -> None:
    keys = {str(create(f"c{n}").pk) for n in range(8)}
    create("other", thumbnail="x")
    Card.objects.update(rarity_v2=None)
    staff.post(post_action(staff, query="thumbnail=none"))
    assert set(Run.objects.get().keys.values_list("object_id", flat=True)) == keys


@pytest.mark.usefixtures("redis_server")
def test_a_run_has_the_cards_that_a_filter_given_twice_names(staff: Client) -> None:
    create("a", rarity="common")
    card = create("b", rarity="rare")
    Card.objects.update(rarity_v2=None)
    query = "rarity__exact=common&rarity__exact=rare"
    page = staff.get(f"{LIST}?{query}").context["cl"]
    assert [row.pk for row in page.result_list] == [card.pk]
    assert [condition.value for condition in page.conditions] == ["rare"]
    staff.post(post_action(staff, query=query))
    assert [key.object_id for key in Run.objects.get().keys.all()] == [str(card.pk)]


@pytest.mark.usefixtures("redis_server")
def test_a_run_stores_the_filter_of_a_tag(staff: Client) -> None:
    create("a", 'x, "y"')
    create("b", "x")
    Card.objects.update(rarity_v2=None)
    staff.post(post_action(staff, query="tags__contains=x%2C+%22y%22"))
    run = Run.objects.get()
    assert run.scope == {"filter": {"tags__contains": '"x, ""y"""'}, "keys": False}
    assert run.total == 1


@pytest.fixture
def changed(staff: Client) -> dict[str, Card]:
    cards = {name: create(name) for name in ("by-eva", "by-bob-then-eva", "by-eva-then-run", "old", "never")}
    run = Run.objects.create(
        operation="o",
        model="cards.card",
        columns=[],
        version="v",
        performed_by="bob",
        total=1,
        as_of="2026-01-01 00:00Z",
    )
    audit(cards["by-eva"], "eva")
    audit(cards["by-bob-then-eva"], "bob")
    audit(cards["by-bob-then-eva"], "eva")
    audit(cards["by-eva-then-run"], "eva")
    audit(cards["by-eva-then-run"], "bob", run)
    execute_sql(
        "INSERT INTO audit_logs (action, object_type, object_id, performed_by, changes, created_at)"
        " OVERRIDING SYSTEM VALUE VALUES ('a', 'cards.card', %s, 'eva', '{}', now() - interval '2 days')",
        str(cards["old"].pk),
    )
    return cards


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("changed_by=eva", ["old", "by-bob-then-eva", "by-eva"]),
        ("changed_by=bob", ["by-eva-then-run"]),
        ("changed_by=nobody", []),
        ("changed_by=eva&changed_in=hour", ["by-bob-then-eva", "by-eva"]),
        ("changed_in=hour", ["by-eva-then-run", "by-bob-then-eva", "by-eva"]),
        ("changed_in=week&q=eva", ["by-eva-then-run", "by-bob-then-eva", "by-eva"]),
        ("changed_in=month&changed_by=", ["old", "by-eva-then-run", "by-bob-then-eva", "by-eva"]),
    ],
)
def test_cards_are_found_by_their_last_change(
    staff: Client, changed: dict[str, Card], query: str, found: list[str]
) -> None:
    assert list_ids(staff, query) == found


def test_a_last_change_in_force_can_be_removed(staff: Client, changed: dict[str, Card]) -> None:
    [condition] = staff.get(f"{LIST}?changed_by=eva&changed_in=day&o=2").context["cl"].conditions
    assert condition == changelist.Condition("last change", "by eva in the last 24 hours", "?o=2")


def test_a_run_refuses_cards_of_which_not_all_are_known(
    staff: Client, changed: dict[str, Card], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_changes, "MAX_CHANGES", 2)
    assert "so older ones may be missing." in page_text(staff.get(f"{LIST}?changed_in=hour"))
    page = page_text(staff.post(post_action(staff, query="changed_in=hour"), follow=True))
    assert "Choose a shorter time, or tick the rows." in page
    assert Run.objects.count() == 1  # the one that changed a card


def test_a_page_by_last_change_asks_few_statements(
    staff: Client, changed: dict[str, Card], django_assert_max_num_queries: Any
) -> None:
    staff.get(LIST)
    with django_assert_max_num_queries(40):  # a time is found in the log by halving its keys
        staff.get(f"{LIST}?changed_by=eva&changed_in=week")


def test_who_changed_cards_is_shown_to_those_who_may_see_it(client: Client) -> None:
    eva = User.objects.create_user("eva", is_staff=True)
    eva.user_permissions.add(Permission.objects.get(codename="view_card"))
    client.force_login(eva)
    assert "Last change" not in page_text(client.get(LIST))
    assert client.get(f"{LIST}?changed_by=ada").status_code == 400


def test_a_filter_says_how_much_it_offers(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def hints() -> list[str]:
        return re.findall(r'ops-hint">([^<]+)', staff.get(LIST).content.decode())

    assert "There are none yet." in hints()
    monkeypatch.setattr(filters, "_MAX_SUGGESTIONS", 2)
    create("a", "red", "blue")
    assert "Choose one of 2, or type it." in hints()
    create("b", "green")
    assert "The first 2 are suggested; type any other." in hints()
    assert 'option value="red"' not in staff.get(LIST).content.decode()


def test_tags_are_suggested_in_one_statement(django_assert_num_queries: Any) -> None:
    create("a", "red", "blue", "Ñ")
    with django_assert_num_queries(1):
        assert TagFilter.suggest(None, 10) == ["blue", "red", "Ñ"]  # type: ignore[arg-type]
