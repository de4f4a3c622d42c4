"""The assets in the admin: their pictures, sizes and cards, and what is missing."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from cards.models import Asset, Card
from tests.admin_pages import page_text

pytestmark = pytest.mark.django_db
LIST = "/admin/cards/asset/"


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


@pytest.fixture
def card() -> Card:
    return Card.objects.create(card_id="a", title="Águila", pack_id="p")


def create_asset(path: str, card: Card | None = None, **values: Any) -> Asset:
    values = {"asset_type": "a", "mime_type": "image/webp", "file_size": 18_432} | values
    return Asset.objects.create(asset_key=path, file_path=path, card=card, **values)


def test_the_list_shows_pictures_sizes_and_cards(staff: Client, card: Card) -> None:
    create_asset("t/1.webp", card)
    create_asset("list.json", mime_type="application/json", file_size=5_000_000)
    page = staff.get(LIST)
    assert 'src="/media/t/1.webp"' in page.content.decode()
    assert 'src="/media/list.json"' not in page.content.decode()
    assert f'href="/admin/cards/card/{card.pk}/change/">Águila</a>' in page.content.decode()
    assert "18.0 KB" in page_text(page)
    assert "4.8 MB" in page_text(page)


@pytest.mark.parametrize(("value", "keys"), [("True", ["b"]), ("False", ["a"])])
def test_assets_without_a_card_are_filtered(staff: Client, card: Card, value: str, keys: list[str]) -> None:
    create_asset("a", card)
    create_asset("b")
    page = staff.get(f"{LIST}?card__isnull={value}")
    assert [asset.asset_key for asset in page.context["cl"].result_list] == keys
    assert "Without a card" in page_text(page)


@pytest.mark.parametrize(("query", "keys"), [("b%", ["ab%c"]), ("D/", ["ab%c"]), ("d/", [])])
def test_assets_are_found_by_a_part_of_a_key_or_path(staff: Client, query: str, keys: list[str]) -> None:
    create_asset("abc")
    Asset.objects.filter(pk=create_asset("ab%c").pk).update(file_path="D/e")
    page = staff.get(LIST, {"q": query})
    assert [asset.asset_key for asset in page.context["cl"].result_list] == keys
    assert ("capitals matter" in page_text(page)) == (keys == [])


def test_cards_are_no_links_for_those_who_may_not_view_them(client: Client, card: Card) -> None:
    create_asset("a", card)
    viewer = User.objects.create_user("eva", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_asset"))
    client.force_login(viewer)
    page = client.get(LIST).content.decode()
    assert "Águila" in page
    assert "/admin/cards/card/" not in page


@pytest.mark.parametrize("path", ["gone.webp", "../outside.webp", "/etc/passwd"])
def test_the_page_of_an_asset_says_that_its_file_is_missing(staff: Client, path: str) -> None:
    asset = create_asset(path)
    page = page_text(staff.get(f"{LIST}{asset.pk}/change/"))
    assert f"There is no file {path} in the storage." in page


def test_the_page_of_an_asset_shows_its_file(staff: Client, settings: Any) -> None:
    Path(settings.MEDIA_ROOT).mkdir(parents=True)
    (Path(settings.MEDIA_ROOT) / "1.webp").touch()
    asset = create_asset("1.webp")
    page = staff.get(f"{LIST}{asset.pk}/change/")
    assert 'src="/media/1.webp"' in page.content.decode()
    assert "image/webp, 18.0 KB" in page_text(page)
