"""The links from a card to the one before and after it, in the list that its user came from."""

from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.test import Client

from cards.models import Card
from ops.admin.lists import keyset_pages, neighbours
from tests.admin_pages import page_text

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


@pytest.fixture
def keys() -> dict[str, int]:
    rarities = {"a": "rare", "b": "common", "c": "rare", "d": "common"}
    return {
        name: Card.objects.create(card_id=name, title=f"Card {name}", pack_id="p", rarity=rarity).pk
        for name, rarity in rarities.items()
    }


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("", "dcba"),
        ("o=2", "abcd"),
        ("rarity__exact=rare", "ca"),
        ("q=card&rarity__exact=rare", "ca"),
        ("q=card+b", "b"),
        ("thumbnail=none", "dcba"),
        ("thumbnail=none&o=2&q=card", "abcd"),
    ],
)
def test_next_and_previous_follow_the_list(
    staff: Client, keys: dict[str, int], query: str, path: str
) -> None:
    filters = f"_changelist_filters={quote(query)}" if query else ""
    for direction, steps in (("next", path), ("previous", path[::-1])):
        for here, there in zip(steps, steps[1:] + steps[-1], strict=True):
            url = f"/admin/cards/card/{keys[here]}/neighbour/?to={direction}&{filters}"
            response = staff.get(url)
            assert response.headers["Location"].partition("?")[0].endswith(f"/{keys[there]}/change/")
            preserved = f"?_changelist_filters={quote(query, safe='')}" if query else "/"
            assert response.headers["Location"].endswith(preserved)
        place = "last" if direction == "next" else "first"
        assert f"This is the {place} card of the list." in page_text(staff.get(response.headers["Location"]))


def test_the_page_of_a_card_links_to_its_neighbours(staff: Client, keys: dict[str, int]) -> None:
    page = staff.get(f"/admin/cards/card/{keys['b']}/change/?_changelist_filters=q%3Dcard").content.decode()
    for direction in ("next", "previous"):
        assert f"/{keys['b']}/neighbour/?_changelist_filters=q%3Dcard&amp;to={direction}" in page


@pytest.mark.parametrize(("key", "query"), [("1", "password=x"), ("x", ""), ("_00", ""), (str(2**70), "")])
def test_a_neighbour_in_no_list_is_refused_or_the_row_itself(staff: Client, key: str, query: str) -> None:
    response = staff.get(f"/admin/cards/card/{key}/neighbour/?_changelist_filters={quote(query)}")
    assert response.status_code == (400 if query else 302)


def test_a_neighbour_is_looked_for_in_the_next_rows_only(
    staff: Client, keys: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (keyset_pages, neighbours):
        monkeypatch.setattr(module, "SCANNED_ROWS", 2)
    Card.objects.exclude(card_id__in=["a", "d"]).update(thumbnail="x")
    url = f"/admin/cards/card/{keys['d']}/neighbour/?to=next&_changelist_filters=thumbnail%3Dnone"
    page = staff.get(url, follow=True)
    assert page.redirect_chain[-1][0].startswith(f"/admin/cards/card/{keys['d']}/")
    assert "None of the next 2 cards is in the list." in page_text(page)
    monkeypatch.setattr(keyset_pages, "SCANNED_ROWS", 3)
    assert f"/{keys['a']}/change/" in staff.get(url).headers["Location"]
