"""A rarity that no rule has, and a thumbnail that cannot be made, are seen in the admin."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from cards.models import Card, PresentationRule
from cards.operations import RenderThumbnails
from cards.thumbnails.problem import thumbnail_problem
from ops.models import Run
from ops.runs.lifecycle import cancel
from tests.forms import fetch_change_form_fields
from tests.ops.running import execute_operation
from tests.ops.test_admin_operations import text

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("rules", "redis_server"),
]
LIST = "/admin/cards/card/"
NO_RULE = "The rarity “mythic” has no presentation rule. Rarities with a rule: common, rare, epic, legendary."


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


def card(**told: str) -> Card:
    return Card.objects.create(**{"card_id": "a", "title": "A", "pack_id": "p", "image": "gone.png"} | told)


def page_of(row: Card | PresentationRule) -> str:
    return reverse(f"admin:cards_{row._meta.model_name}_change", args=[row.pk])


def test_a_form_offers_the_rarities_that_have_a_rule(staff: Client) -> None:
    page = staff.get(reverse("admin:cards_card_add")).content.decode()
    for rarity in ("common", "rare", "epic", "legendary"):
        assert f'<option value="{rarity}"' in page
    page = staff.get(page_of(card(rarity="mythic"))).content.decode()
    assert '<option value="mythic" selected>mythic (has no rule)</option>' in page


def test_without_any_rule_a_rarity_can_be_typed(staff: Client) -> None:
    PresentationRule.objects.all().delete()
    page = staff.get(reverse("admin:cards_card_add")).content.decode()
    assert '<input type="text" name="rarity"' in page


@pytest.mark.parametrize("column", ["rarity", "rarity_v2"])
def test_a_rarity_of_no_rule_is_told_with_those_that_are(staff: Client, column: str) -> None:
    row = card()
    sent = fetch_change_form_fields(staff, page_of(row)) | {column: "mythic"}
    assert NO_RULE in text(staff.post(page_of(row), sent, follow=True))
    assert thumbnail_problem(row) == "there is no presentation rule for its rarity 'mythic'"
    shown = text(staff.get(page_of(row)))
    assert "The thumbnail cannot be rendered: there is no presentation rule for its rarity" in shown
    assert f'class="cards-problem" title="{NO_RULE}"' in staff.get(LIST).content.decode()


def test_the_reason_for_which_a_thumbnail_failed_is_on_the_page_of_its_card(staff: Client) -> None:
    row = card()
    assert thumbnail_problem(row) == ""
    execute_operation(RenderThumbnails)
    assert "The thumbnail cannot be rendered: gone.png is not in the storage." in text(
        staff.get(page_of(row))
    )
    staff.post(page_of(row), fetch_change_form_fields(staff, page_of(row)) | {"image": "other.png"})
    assert thumbnail_problem(row) == ""  # It is not tried yet.
    cancel(Run.objects.latest("pk"), "ada")


def test_a_card_with_a_picture_elsewhere_has_no_problem(staff: Client) -> None:
    row = card(rarity="mythic", image="https://example.com/a.webp")
    assert thumbnail_problem(row) == ""
    assert "cards-problem" not in staff.get(LIST).content.decode()


def test_a_rule_taken_from_its_cards_is_told(staff: Client) -> None:
    card(rarity="epic")
    rule = PresentationRule.objects.get(rarity="epic")
    page = staff.post(
        page_of(rule), fetch_change_form_fields(staff, page_of(rule)) | {"rarity": "mythic"}, follow=True
    )
    assert "“epic” has no presentation rule. Rarities with a rule: common, rare, mythic, legendary" in text(
        page
    )
    PresentationRule.objects.filter(pk=rule.pk).update(rarity="epic")
    page = staff.post(page_of(rule).replace("change", "delete"), {"post": "yes"}, follow=True)
    assert "“epic” has no presentation rule. Rarities with a rule: common, rare, legendary" in text(page)


def test_a_badge_that_nobody_can_draw_is_told_when_its_rule_is_saved(staff: Client) -> None:
    rule = PresentationRule.objects.get(rarity="epic")
    page = staff.post(
        page_of(rule), fetch_change_form_fields(staff, page_of(rule)) | {"badge_icon": "gem"}, follow=True
    )
    assert (
        "The badge “gem” of epic does not exist, so none is drawn. Badges: circle, diamond, star, crown."
        in text(page)
    )
