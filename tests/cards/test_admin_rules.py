"""The presentation rules in the admin: how they look, who wears them, their order, and their deletion."""

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client

from cards.models import Card, PresentationRule
from ops.models import AuditLog
from ops.sql import counts
from tests.admin_pages import page_text
from tests.forms import parse_form_fields

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rules", "redis_server")]
LIST = "/admin/cards/presentationrule/"


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


@pytest.fixture
def keys() -> dict[str, int]:
    return dict(PresentationRule.objects.values_list("rarity", "pk"))


def create_cards(rarity: str, count: int) -> None:
    names = [f"{rarity}-{number}" for number in range(count)]
    Card.objects.bulk_create(
        [Card(card_id=name, title=name, pack_id="p", rarity=rarity, image="a.webp") for name in names]
    )


def post_order(staff: Client, rarities: list[str], keys: dict[str, int], **data: str) -> str:
    """Post the order of the rules and return the text of the page that follows."""
    seen = " ".join(str(keys[rarity]) for rarity in ("common", "rare", "epic", "legendary"))
    order = {"rule": [keys[rarity] for rarity in rarities], "seen": seen}
    return page_text(staff.post(f"{LIST}order/", order | data, follow=True))


def read_order() -> list[str]:
    return list(PresentationRule.objects.values_list("rarity", flat=True))


def test_the_list_shows_each_rule_on_a_card_and_how_many_wear_it(staff: Client) -> None:
    create_cards("rare", 2)
    page = staff.get(LIST)
    assert page.content.decode().count('src="/media/a.webp"') == 4
    assert "rare Edit #CCCCCC Worn by 2 cards" in page_text(page)
    assert "epic Edit #CCCCCC Worn by 0 cards" in page_text(page)
    assert 'href="/admin/cards/card/?rarity__exact=rare"' in page.content.decode()


def test_the_cards_of_a_rule_are_estimated_in_a_large_catalogue(
    staff: Client, keys: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "_MAX_COUNTED", 10)
    create_cards("rare", 40)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE cards")
    assert "rare Edit #CCCCCC Worn by about 40 cards" in page_text(staff.get(LIST))
    assert "epic Edit #CCCCCC Worn by few cards or none" in page_text(staff.get(LIST))
    page = page_text(staff.get(f"{LIST}{keys['rare']}/change/"))
    assert "Saving draws the thumbnails of about 40 cards again, in the background." in page


def test_rarities_that_cards_wear_without_a_rule_are_listed(staff: Client) -> None:
    assert "Rarities without a rule" not in page_text(staff.get(LIST))
    create_cards("mythic&", 2)
    page = staff.get(LIST)
    assert "mythic&amp; , worn by 2 cards · Add a rule for mythic&amp;" in page_text(page)
    form = parse_form_fields(staff.get(f"{LIST}add/?rarity=mythic%26"), "presentationrule_form")
    assert (form["rarity"], form["sort_order"]) == ("mythic&", "13")


def test_an_empty_list_says_what_to_do(staff: Client) -> None:
    PresentationRule.objects.all().delete()
    assert "There are no rules yet." in page_text(staff.get(LIST))
    assert f'href="{LIST}add/"' in staff.get(LIST).content.decode()


def test_rules_are_dragged_to_another_order_with_audit_rows(staff: Client, keys: dict[str, int]) -> None:
    post_order(staff, ["legendary", "rare", "common", "epic"], keys)
    assert read_order() == ["legendary", "rare", "common", "epic"]
    changes = dict(AuditLog.objects.values_list("object_id", "changes"))
    assert changes == {
        str(keys["legendary"]): {"sort_order": {"old": 3, "new": 0}},
        str(keys["common"]): {"sort_order": {"old": 0, "new": 2}},
        str(keys["epic"]): {"sort_order": {"old": 2, "new": 3}},
    }
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.mark.parametrize(
    ("move", "order"),
    [
        ("up-epic", ["common", "epic", "rare", "legendary"]),
        ("down-common", ["rare", "common", "epic", "legendary"]),
        ("up-common", ["common", "rare", "epic", "legendary"]),
        ("down-legendary", ["common", "rare", "epic", "legendary"]),
        ("sideways-epic", ["common", "rare", "epic", "legendary"]),
    ],
)
def test_buttons_move_a_rule_by_one_place(
    staff: Client, keys: dict[str, int], move: str, order: list[str]
) -> None:
    direction, _, rarity = move.partition("-")
    post_order(staff, list(keys), keys, move=f"{direction}-{keys[rarity]}")
    assert read_order() == order


@pytest.mark.parametrize("rarities", [[], ["common"], ["common", "common", "rare", "epic"]])
def test_an_order_of_other_rules_is_refused(staff: Client, keys: dict[str, int], rarities: list[str]) -> None:
    assert "Nothing was moved: the rules changed meanwhile." in post_order(staff, rarities, keys)
    assert read_order() == list(keys)


def test_an_order_that_changed_meanwhile_is_not_overwritten(staff: Client, keys: dict[str, int]) -> None:
    post_order(staff, ["rare", "common", "epic", "legendary"], keys)
    assert "Nothing was moved" in post_order(staff, ["epic", "common", "rare", "legendary"], keys)
    assert read_order() == ["rare", "common", "epic", "legendary"]


def test_a_viewer_sees_no_way_to_move_a_rule(client: Client) -> None:
    viewer = User.objects.create_user("eva", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_presentationrule"))
    client.force_login(viewer)
    page = client.get(LIST).content.decode()
    assert "common" in page
    assert 'name="move"' not in page


def test_a_rule_that_cards_wear_is_deleted_only_in_words(staff: Client, keys: dict[str, int]) -> None:
    create_cards("rare", 3)
    url = f"{LIST}{keys['rare']}/delete/"
    page = staff.get(url)
    assert "3 cards wear “rare”." in page_text(page)
    data = parse_form_fields(page, "")
    for typed in ("", "epic"):
        refusal = page_text(staff.post(url, data | {"rarity": typed}, follow=True))
        assert "Nothing was deleted: to delete the rule, type its rarity, rare." in refusal
    assert "rare" in read_order()
    staff.post(url, data | {"rarity": "rare"})
    assert "rare" not in read_order()


def test_a_rule_that_no_card_wears_is_deleted_as_usual(staff: Client, keys: dict[str, int]) -> None:
    url = f"{LIST}{keys['rare']}/delete/"
    assert "Are you sure" in page_text(staff.get(url))
    assert staff.post(url, parse_form_fields(staff.get(url), "")).status_code == 302
    assert "rare" not in read_order()


def test_a_badge_is_one_that_can_be_drawn(staff: Client, keys: dict[str, int]) -> None:
    PresentationRule.objects.filter(rarity="rare").update(badge_icon="gem")
    page = staff.get(f"{LIST}{keys['rare']}/change/").content.decode()
    assert '<option value="gem" selected>gem (cannot be drawn)</option>' in page
    assert '<option value="crown">crown</option>' in page
    assert '<input type="color" data-color-of="id_frame_color" value="#CCCCCC"' in page
