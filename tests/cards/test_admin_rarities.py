"""Rarities without a rule and thumbnails that cannot be rendered, as the admin shows them."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from cards.models import Card, PresentationRule
from cards.operations import RenderThumbnails
from cards.thumbnails.problem import read_thumbnail_state
from ops.models import Run
from ops.runs.lifecycle import cancel
from tests.admin_pages import page_text
from tests.forms import fetch_change_form_fields
from tests.ops.running import execute_operation

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


def create_card(**values: str) -> Card:
    return Card.objects.create(**{"card_id": "a", "title": "A", "pack_id": "p", "image": "gone.png"} | values)


def change_url(row: Card | PresentationRule) -> str:
    return reverse(f"admin:cards_{row._meta.model_name}_change", args=[row.pk])


def test_a_form_offers_the_rarities_with_a_rule(staff: Client) -> None:
    page = staff.get(reverse("admin:cards_card_add")).content.decode()
    for rarity in ("common", "rare", "epic", "legendary"):
        assert f'<option value="{rarity}"' in page
    page = staff.get(change_url(create_card(rarity="mythic"))).content.decode()
    assert '<option value="mythic" selected>mythic (has no rule)</option>' in page


def test_without_rules_a_rarity_is_a_text_field(staff: Client) -> None:
    PresentationRule.objects.all().delete()
    page = staff.get(reverse("admin:cards_card_add")).content.decode()
    assert '<input type="text" name="rarity"' in page


@pytest.mark.parametrize("column", ["rarity", "rarity_v2"])
def test_a_rarity_without_a_rule_is_refused(staff: Client, column: str) -> None:
    row = create_card()
    page = staff.post(change_url(row), fetch_change_form_fields(staff, change_url(row)) | {column: "mythic"})
    assert page.context["adminform"].form.errors == {column: [NO_RULE]}
    assert not Card.objects.filter(rarity="mythic").exists()


def test_a_card_whose_rarity_has_no_rule_can_be_edited(staff: Client) -> None:
    row = create_card(rarity="mythic")
    data = fetch_change_form_fields(staff, change_url(row)) | {"title": "B"}
    assert NO_RULE in page_text(staff.post(change_url(row), data, follow=True))
    assert Card.objects.get().title == "B"
    assert read_thumbnail_state(row).problem == "there is no presentation rule for its rarity 'mythic'"
    text = page_text(staff.get(change_url(row)))
    assert "The thumbnail cannot be rendered: there is no presentation rule for its rarity" in text
    assert f'class="cards-problem" title="{NO_RULE}"' in staff.get(LIST).content.decode()


def test_the_page_of_a_card_shows_why_its_thumbnail_failed(staff: Client) -> None:
    row = create_card()
    assert read_thumbnail_state(row).problem == ""
    execute_operation(RenderThumbnails)
    assert "The thumbnail cannot be rendered: gone.png is not in the storage." in page_text(
        staff.get(change_url(row))
    )
    staff.post(change_url(row), fetch_change_form_fields(staff, change_url(row)) | {"image": "other.png"})
    assert read_thumbnail_state(row).problem == ""  # It is not tried yet.
    cancel(Run.objects.latest("pk"), "ada")


def test_a_card_with_a_picture_on_another_site_has_no_problem(staff: Client) -> None:
    row = create_card(rarity="mythic", image="https://example.com/a.webp")
    assert read_thumbnail_state(row).problem == ""
    assert "cards-problem" not in staff.get(LIST).content.decode()


def test_renaming_or_deleting_a_rule_of_cards_shows_a_warning(staff: Client) -> None:
    create_card(rarity="epic")
    rule = PresentationRule.objects.get(rarity="epic")
    page = staff.post(
        change_url(rule),
        fetch_change_form_fields(staff, change_url(rule)) | {"rarity": "mythic"},
        follow=True,
    )
    assert (
        "“epic” has no presentation rule. Rarities with a rule: common, rare, mythic, legendary"
        in page_text(page)
    )
    PresentationRule.objects.filter(pk=rule.pk).update(rarity="epic")
    data = {"post": "yes", "rarity": "epic"}
    page = staff.post(change_url(rule).replace("change", "delete"), data, follow=True)
    assert "“epic” has no presentation rule. Rarities with a rule: common, rare, legendary" in page_text(page)


def test_saving_a_rule_with_an_unknown_badge_shows_a_warning(staff: Client) -> None:
    rule = PresentationRule.objects.get(rarity="epic")
    page = staff.post(
        change_url(rule),
        fetch_change_form_fields(staff, change_url(rule)) | {"badge_icon": "gem"},
        follow=True,
    )
    assert (
        "The badge “gem” of epic does not exist, so none is drawn. Badges: circle, diamond, star, crown."
        in page_text(page)
    )
