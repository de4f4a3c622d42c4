"""Code that knows both rarities writes only the one that it was given."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from cards.models import Card, PresentationRule
from ops.column_changes.position import record_step
from ops.column_changes.steps import Step
from ops.sql.dual_write import dual_writes_off

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

NEW = {"card_id": "c", "title": "C", "pack_id": "p"}
GIVEN = [
    ({"rarity_v2": "epic"}, ("epic", "epic")),
    ({"rarity": "epic"}, ("epic", "epic")),
    ({}, ("common", "common")),
    ({"rarity": "rare", "rarity_v2": "epic"}, ("rare", "epic")),
]


def both(card: Card) -> tuple[Any, Any]:
    return card.rarity, card.rarity_v2


@pytest.mark.parametrize(("given", "stored"), GIVEN)
@pytest.mark.parametrize("how", ["save", "bulk_create", "get_or_create"])
def test_a_new_card_has_what_was_given_in_both(how: str, given: dict[str, Any], stored: tuple[str]) -> None:
    card = Card(**NEW, **given)
    if how == "save":
        card.save()
    elif how == "bulk_create":
        [card] = Card.objects.bulk_create([card])
    else:
        card, _ = Card.objects.get_or_create(card_id="c", defaults={**NEW, **given})
    assert both(card) == stored, "the object in hand"
    assert both(Card.objects.get()) == stored


def test_a_new_card_can_be_saved_again() -> None:
    card = Card.objects.create(**NEW, rarity="epic")
    card.title = "Another"
    card.save()
    assert both(Card.objects.get()) == ("epic", "epic")


def test_sql_that_gives_only_rarity_v2_fills_rarity_from_it() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO cards (card_id, title, pack_id, rarity_v2) VALUES ('c', 'C', 'p', 'epic')"
        )
    assert both(Card.objects.get()) == ("epic", "epic")


def test_with_dual_writes_off_only_what_is_given_is_written() -> None:
    with dual_writes_off():
        Card.objects.create(**NEW, rarity="epic")
    assert both(Card.objects.get()) == ("epic", None)


@pytest.mark.parametrize("is_switched", [False, True])
def test_the_add_page_offers_one_rarity_and_fills_both(is_switched: bool) -> None:
    for order, rarity in enumerate(["common", "epic"]):
        PresentationRule.objects.create(rarity=rarity, frame_color="#CCCCCC", sort_order=order)
    if is_switched:
        record_step("rarity_v2", Step.SWITCH, "tester")
    client = Client()
    client.force_login(User.objects.create_superuser("ada"))
    page = client.get("/admin/cards/card/add/")
    form = page.context["adminform"].form
    shown, hidden = ("rarity_v2", "rarity") if is_switched else ("rarity", "rarity_v2")
    assert shown in form.fields
    assert hidden not in form.fields
    given = {**NEW, shown: "epic", "tags": "", "metadata": "{}", "description": "", "image": ""}
    assert client.post("/admin/cards/card/add/", given).status_code == 302
    assert both(Card.objects.get()) == ("epic", "epic")
