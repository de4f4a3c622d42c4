"""How the list of cards is shown: its columns, their order, and the grid of pictures."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from cards.models import Card, PresentationRule
from ops.admin.lists import pagination
from ops.models import Run
from tests.admin_pages import page_text, post_action

LIST = "/admin/cards/card/"
pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


@pytest.fixture(autouse=True)
def _cards() -> None:
    PresentationRule.objects.create(rarity="common", frame_color="#4A90E2", sort_order=1)
    for name in ("b", "a", "c"):
        Card.objects.create(card_id=name, title=f"Title {name}", pack_id="p", tags=["x", "y"])


def get_headers(page: Any) -> list[str]:
    return list(page.context["cl"].list_display[1:])


def test_a_second_column_of_the_rarity_is_hidden_until_it_is_chosen(staff: Client) -> None:
    usual = ["picture", "card_id", "title", "rarity_display", "pack_id", "updated_at"]
    assert get_headers(staff.get(LIST)) == usual
    chosen = staff.get(f"{LIST}?columns=tags_display&columns=rarity_v2&columns=nosuch")
    assert get_headers(chosen) == ["card_id", "rarity_v2", "tags_display"]
    assert "x, y" in page_text(chosen)
    assert get_headers(staff.get(f"{LIST}?columns=title,picture")) == ["picture", "card_id", "title"]
    assert get_headers(staff.get(f"{LIST}?columns=nosuch")) == usual


def test_links_of_the_list_keep_its_layout(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    page = staff.get(f"{LIST}?columns=title&layout=grid&sort=-card_id&pack_id__exact=p")
    changelist = page.context["cl"]
    assert changelist.conditions[0].remove_url == "?columns=title&layout=grid&o=-1"
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.content.decode())
    assert {("layout", "grid"), ("columns", "title"), ("o", "-1")} <= set(hidden)  # of the search


def test_an_order_by_name_is_the_same_for_everybody(staff: Client) -> None:
    viewer = User.objects.create_user("eva", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_card"))
    other = Client()
    other.force_login(viewer)
    for client in (staff, other):
        page = client.get(f"{LIST}?sort=-card_id&columns=title")
        assert [card.card_id for card in page.context["cl"].result_list] == ["c", "b", "a"]
        assert page.context["cl"].layout.sort == "-card_id"
    assert staff.get(f"{LIST}?o=2").context["cl"].layout.sort == "card_id"


@pytest.mark.parametrize("sort", ["title", "-nosuch", "x,y", ""])
def test_an_order_that_the_list_does_not_declare_is_not_taken(staff: Client, sort: str) -> None:
    page = staff.get(f"{LIST}?sort={sort}")
    assert [card.card_id for card in page.context["cl"].result_list] == ["c", "a", "b"]


def test_the_grid_shows_each_card_in_the_colour_of_its_rule(staff: Client) -> None:
    Card.objects.filter(card_id="a").update(thumbnail="thumbnails/a.webp")
    Card.objects.filter(card_id="b").update(image="https://example.com/b.png", rarity="unknown")
    content = staff.get(f"{LIST}?layout=grid").content.decode()
    assert content.count('style="--rule:#4A90E2"') == 2
    assert 'src="/media/thumbnails/a.webp" alt=""' in content
    assert ">On another site</span>" in content
    assert ">No picture</span>" in content
    assert "example.com" not in content


@pytest.mark.usefixtures("redis_server")
@pytest.mark.parametrize(
    ("query", "is_ticked", "scope"),
    [
        ("layout=grid&q=title", True, {"filter": {}, "keys": True}),
        (
            "layout=grid&columns=title&sort=-card_id&pack_id__exact=p",
            False,
            {"filter": {"pack_id": "p"}, "keys": False},
        ),
        ("layout=grid&q=title", False, {"filter": {}, "keys": True}),
    ],
)
def test_a_run_over_the_grid_has_the_cards_of_the_table(
    staff: Client, query: str, is_ticked: bool, scope: Any
) -> None:
    Card.objects.update(rarity_v2=None)
    content = staff.get(f"{LIST}?{query}").content.decode()
    ticks = re.findall(r'name="_selected_action" value="(\d+)"', content)
    assert len(ticks) == 3
    staff.post(post_action(staff, *ticks[:is_ticked], query=query))
    run = Run.objects.get()
    assert (run.scope, run.total) == (scope, 1 if is_ticked else 3)


def test_the_grid_has_the_pages_of_the_table(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pagination, "MAX_COUNTED_ROWS", 1)
    monkeypatch.setattr("ops.admin.lists.large_tables.LargeTableAdmin.list_per_page", 1)
    query, titles = "?layout=grid", []
    while query:
        page = staff.get(f"{LIST}{query}")
        titles += re.findall(r'cards-tile-title">([^<]+)', page.content.decode())
        query = dict(page.context["cl"].page_links)["Next"]
    assert titles == ["Title c", "Title a", "Title b"]


def test_the_grid_asks_no_statement_a_card(staff: Client) -> None:
    staff.get(LIST)  # fills Django's caches
    counts = []
    for query in ("layout=grid&q=title", "layout=grid&q=title+a"):
        with CaptureQueriesContext(connection) as queries:
            staff.get(f"{LIST}?{query}")
        counts.append(len(queries))
    assert counts[0] == counts[1]  # three cards, and one


def test_who_may_do_nothing_with_cards_has_nothing_to_tick(client: Client) -> None:
    viewer = User.objects.create_user("eva", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_card"))
    client.force_login(viewer)
    content = client.get(f"{LIST}?layout=grid").content.decode()
    assert content.count('role="listitem"') == 3
    assert "checkbox" not in content.partition('id="result_list"')[2]


def test_a_list_without_pictures_has_no_grid(staff: Client) -> None:
    content = staff.get("/admin/cards/asset/?layout=grid").content.decode()
    assert "Layout" not in content
    assert "ops-grid" not in content


def test_the_table_shows_values_as_the_admin_does(staff: Client) -> None:
    Card.objects.filter(card_id="a").update(title="<b>", rarity_v2=None, tags=[])
    content = staff.get(f"{LIST}?columns=title,rarity_v2,picture,updated_at").content.decode()
    assert 'data-label="Title">&lt;b&gt;</td>' in content
    assert 'data-label="Rarity v2">-</td>' in content
    assert '<th class="ops-cell field-picture"' in content
    assert content.count('class="action-select ops-check" aria-label="Select ') == 3
    pack = "/admin/cards/card/?_changelist_filters=pack_id__exact%3Dp".partition("?")[2]
    listed = staff.get(f"{LIST}?pack_id__exact=p").content.decode()
    assert listed.count(f"/change/?{pack}") == 6  # a picture and a card id each
    assert "data-popup-opener" in staff.get(f"{LIST}?_popup=1").content.decode()


def test_a_row_of_the_table_is_small(staff: Client) -> None:
    rows = staff.get(LIST).content.decode().partition("<tbody>")[2].partition("</tbody>")[0]
    assert len(rows) / 3 < 1_500
