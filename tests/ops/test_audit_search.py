"""The search of the audit log: what it finds, and that it never reads more rows than a page may cost."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cards.models import Card
from ops.admin.audit import auditlog
from ops.models import AuditLog, Run
from ops.sql import audit_search
from ops.sql.audit_search import AuditSearch, list_persons, read_page
from tests.admin_pages import page_text

pytestmark = pytest.mark.django_db

START = datetime(2026, 1, 1, tzinfo=UTC)
ROWS, SCANNED = 2_600, 200
# An audit row each minute: half of them of run 7, the others of ten persons; the oldest thousand of "load".
_FILL_SQL = """
INSERT INTO audit_logs (run_id, action, object_type, object_id, performed_by, changes, created_at)
SELECT CASE WHEN n > 1000 AND n %% 2 = 0 THEN 7 END, 'a', 'cards.card',
    (CASE WHEN n %% 2 = 0 THEN n ELSE n %% 1500 END)::text,
    CASE WHEN n <= 1000 THEN 'load' ELSE 'p' || n %% 10 END,
    jsonb_build_object('title', jsonb_build_object('old', 'Old ' || n, 'new', 'New ' || n)),
    %s::timestamptz + n * interval '1 minute'
FROM generate_series(1, %s) n
"""


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_search, "SCANNED_ROWS", SCANNED)
    with connection.cursor() as cursor:
        cursor.execute(_FILL_SQL, [START, ROWS])
        cursor.execute("ANALYZE audit_logs")


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


def minutes(search: AuditSearch) -> list[int]:
    """Return the minutes after START of all rows that the search finds, page by page."""
    pages = [read_page(search, cursor) for cursor in iter_cursors(search)]
    return [(row.created_at - START) // timedelta(minutes=1) for page in pages for row in page.rows]


def iter_cursors(search: AuditSearch) -> Iterator[str]:
    cursor = ""
    yield cursor
    while cursor := read_page(search, cursor).cursor:
        yield cursor


def newest(numbers: Iterator[int] | range) -> list[int]:
    return sorted(numbers, reverse=True)


SEARCHES = {
    "everything": AuditSearch(),
    "object": AuditSearch(objects=[("cards.card", "5")]),
    "two objects, value": AuditSearch(objects=[("cards.card", "5"), ("cards.card", "6")], value="Old"),
    "run": AuditSearch(run_id=7),
    "run, value": AuditSearch(run_id=7, value="nothing has this"),
    "person": AuditSearch(performed_by="p3"),
    "person whose rows are old": AuditSearch(performed_by="load"),
    "person, field": AuditSearch(performed_by="load", column="rarity"),
    "field": AuditSearch(column="rarity"),
    "value": AuditSearch(value="nothing has this"),
    "field and value": AuditSearch(column="title", value="nothing has this"),
    "kind": AuditSearch(object_type="cards.asset"),
    "time": AuditSearch(since=START + timedelta(hours=2), until=START + timedelta(hours=30)),
    "time, person, value": AuditSearch(until=START + timedelta(hours=99), performed_by="p1", value="x"),
}


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_a_page_reads_a_bounded_number_of_rows(log: None, search: AuditSearch) -> None:
    cursors = list(iter_cursors(search))
    for cursor in {cursors[0], cursors[len(cursors) // 2], cursors[-1]}:
        with CaptureQueriesContext(connection) as queries:
            read_page(search, cursor)
        assert count_rows_read([query["sql"] for query in queries.captured_queries]) < 3 * SCANNED


def count_rows_read(statements: list[str]) -> int:
    """Execute the statements again; return how many rows the scans of their plans read."""
    rows = 0
    for statement in statements:
        with connection.cursor() as cursor:
            if "set_config" in statement or not statement.lstrip().startswith("SELECT"):
                cursor.execute(statement)
                continue
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
            [([plan],)] = cursor.fetchall()
        rows += sum(map(_count_rows_of_node, _iter_nodes(plan["Plan"])))
    return rows


def _iter_nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _iter_nodes(child)


def _count_rows_of_node(node: dict[str, Any]) -> int:
    if "Scan" not in node["Node Type"]:
        return 0
    removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return int((node["Actual Rows"] + removed) * node["Actual Loops"])


def test_every_row_that_matches_is_found_once(log: None) -> None:
    by_hand = {
        f"p{digit}": [n for n in range(1001, ROWS + 1) if n % 2 and n % 10 == digit] for digit in range(10)
    }
    assert minutes(AuditSearch()) == newest(range(1, ROWS + 1))
    assert minutes(AuditSearch(objects=[("cards.card", "5")])) == newest(range(5, ROWS + 1, 1500))
    assert minutes(AuditSearch(objects=[("cards.asset", "5")])) == []
    assert minutes(AuditSearch(objects=[])) == []
    assert sorted(minutes(AuditSearch(run_id=7))) == list(range(1002, ROWS + 1, 2))
    assert minutes(AuditSearch(performed_by="p3")) == newest(by_hand["p3"])
    assert minutes(AuditSearch(performed_by="load")) == newest(range(1, 1001))
    assert sorted(minutes(AuditSearch(run_id=7, performed_by="p4"))) == list(range(1004, ROWS + 1, 10))
    assert minutes(AuditSearch(value="oLD 17")) == newest(
        n for n in range(1, ROWS + 1) if str(n).startswith("17")
    )
    assert minutes(AuditSearch(column="title", value="new 2211")) == [2211]
    assert minutes(AuditSearch(column="rarity", value="new 2211")) == []
    assert minutes(AuditSearch(value="title")) == []  # a column's name is no value
    since, until = START + timedelta(minutes=2000), START + timedelta(minutes=2400)
    assert minutes(AuditSearch(since=since, until=until)) == newest(range(2000, 2400))
    assert minutes(AuditSearch(since=since, until=until, performed_by="p1")) == newest(range(2001, 2400, 10))
    assert minutes(AuditSearch(since=START + timedelta(days=99))) == []
    assert list_persons(4) == ["load", "p1", "p3", "p5"]


def test_a_time_is_found_where_transactions_overlapped() -> None:
    """A row has the time at which its transaction began, so a later key may have an earlier time."""
    for seconds in (0, 30, 5, 40, 20):
        AuditLog.objects.create(
            action="a",
            object_type="t",
            object_id="1",
            performed_by="p",
            changes={},
            created_at=START + timedelta(seconds=seconds),
        )
    page = read_page(AuditSearch(since=START + timedelta(seconds=5), until=START + timedelta(seconds=40)))
    assert [(row.created_at - START).seconds for row in page.rows] == [20, 5, 30]


def test_a_value_is_found_with_its_quotes_and_percent_signs() -> None:
    for text in ('a "b" 100%', "a b 100x"):
        changes = {"title": {"old": None, "new": text}, "tags": {"old": [], "new": [text]}}
        AuditLog.objects.create(action="a", object_type="t", object_id="1", performed_by="p", changes=changes)
    for search in (AuditSearch(value='"b" 100%'), AuditSearch(value='"b" 100%', column="title")):
        assert len(read_page(search).rows) == 1


def search_page(client: Client, query: str = "") -> Any:
    return client.get(f"/admin/ops/auditlog/?{query}")


def found_objects(page: Any) -> list[str]:
    return re.findall(r'ops-entry-object">\s*card\s*<a[^>]*>([^<]*)</a>', page.content.decode())


@pytest.fixture
def cards() -> list[Card]:
    titles = {"c-1": "Cóndor andino", "c-2": "Cóndor real", "c-10": "Búho"}
    cards = [Card.objects.create(card_id=key, title=title, pack_id="p") for key, title in titles.items()]
    for card in cards:
        AuditLog.objects.create(
            action="admin_change",
            object_type="cards.card",
            object_id=card.pk,
            performed_by="ada",
            changes={"title": {"old": "x", "new": card.title}},
        )
    return cards


def test_cards_are_found_by_id_key_or_title(staff: Client, cards: list[Card]) -> None:
    for text, titles in [
        ("c-1", ["Cóndor andino"]),
        (str(cards[2].pk), ["Búho"]),
        ("cóndor", ["Cóndor real", "Cóndor andino"]),
        ("tucán", []),
    ]:
        assert found_objects(search_page(staff, f"object={text}")) == titles, text
    assert "Nothing is called “tucán” now." in page_text(search_page(staff, "object=tucán"))
    assert found_objects(search_page(staff, f"object={cards[2].pk}&kind=cards.asset")) == []


def test_a_title_of_very_many_cards_says_that_some_are_missing(staff: Client) -> None:
    Card.objects.bulk_create(Card(card_id=f"c{n}", title="Búho", pack_id="p") for n in range(30))
    assert "matches more than 20 objects" in page_text(search_page(staff, "object=Búho"))


def test_each_filter_in_force_can_be_removed(staff: Client, cards: list[Card]) -> None:
    page = search_page(staff, "person=ada&field=title&since=2026-01-01T10:00&after=99999999")
    filters = {label: (value, url) for label, value, url in page.context["filters"]}
    assert filters["Field"][0] == "Title"
    assert filters["From (UTC)"] == ("2026-01-01 10:00", "?person=ada&field=title")
    assert filters["Person"] == ("ada", "?field=title&since=2026-01-01T10%3A00")
    assert 'aria-label="Remove the filter Person: ada"' in page.content.decode()


def test_a_person_has_runs_and_single_changes(staff: Client, cards: list[Card]) -> None:
    run = Run.objects.create(
        operation="bulk_promote", model="cards.card", columns=["rarity"], as_of=timezone.now(),
        performed_by="ada", total=1,
    )  # fmt: skip
    page = search_page(staff, "person=ada&value=x")
    assert len(found_objects(page)) == 3
    assert f'href="?value=x&amp;run={run.pk}">what it changed</a>' in page.content.decode()
    assert page.content.decode().count("what it changed") == 1
    assert "no such change without a run" in page_text(search_page(staff, "person=ada&value=zz"))
    assert "what it changed" not in search_page(staff, "person=ada&field=title").content.decode()


def test_a_run_links_to_what_it_changed(staff: Client, cards: list[Card]) -> None:
    values = {"operation": "bulk_promote", "model": "cards.card", "columns": [], "as_of": timezone.now()}
    run = Run.objects.create(**values, total=1)
    url = f"/admin/ops/auditlog/?run={run.pk}"
    changes_url = f"/admin/ops/run/{run.pk}/changes/"
    assert changes_url not in staff.get(f"/admin/ops/run/{run.pk}/change/").content.decode()
    AuditLog.objects.create(
        run=run, action="a", object_type="cards.card", object_id=cards[0].pk, performed_by="p", changes={}
    )
    assert f'href="{changes_url}"' in staff.get(f"/admin/ops/run/{run.pk}/change/").content.decode()
    assert f'href="{url}"' in staff.get(changes_url).content.decode()
    assert found_objects(staff.get(url)) == ["Cóndor andino"]


def test_a_page_that_is_not_full_says_how_far_it_looked(log: None, staff: Client) -> None:
    page = search_page(staff, "field=rarity")
    assert "Nothing found so far." in page_text(page)
    assert "back to 2026-01-02 16:01" in page_text(page)
    assert "Search on" in page_text(page)


def test_invalid_filters_are_marked_and_unknown_ones_refused(staff: Client) -> None:
    page = page_text(search_page(staff, "run=x&since=2026-02-01T00:00&until=2026-01-01T00:00"))
    assert "Enter a whole number." in page
    assert "This time is not after the other one." in page
    assert 'aria-describedby="id_run_error"' in search_page(staff, "run=x").content.decode()
    for query in ("object=%00", "run=99999999999999999999", "field=nonsense", "since=x", "person=%00"):
        assert search_page(staff, query).status_code == 200, query
    for query in ("changes__icontains=x", "q=1", "after=x", "after=%00&run=1", "o=1"):
        assert search_page(staff, query).status_code == 400, query


def test_a_search_that_takes_too_long_is_stopped_in_words(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sleep(*args: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(9)")

    monkeypatch.setattr(auditlog, "_TIMEOUT", timedelta(milliseconds=1))
    monkeypatch.setattr(auditlog, "read_page", sleep)
    assert "was stopped. Search for an id instead" in page_text(search_page(staff, "value=x"))


def test_names_of_objects_are_shown_only_to_those_who_may_view_them(
    client: Client, cards: list[Card]
) -> None:
    bob = User.objects.create_user("bob", is_staff=True)
    bob.user_permissions.set(Permission.objects.filter(codename="view_auditlog"))
    client.force_login(bob)
    page = search_page(client)
    assert found_objects(page) == []
    assert f"card {cards[0].pk}" in page_text(page)
    assert "/history/" not in page.content.decode()
    assert "Nothing is called" in page_text(search_page(client, "object=c-1"))
