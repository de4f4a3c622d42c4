"""A wrong edit taken back from a card's history, by keyboard alone."""

import pytest
from playwright.sync_api import Page, expect

from cards.models import Card
from tests.browser.conftest import loading
from tests.ops.change_setting import make_card
from tests.ops.running import wait_until
from tests.ops.test_undo import edit

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.long]


def test_one_field_is_undone_and_a_conflict_is_overwritten(page: Page, worker: None) -> None:
    card = make_card(title="Águila real", pack_id="aves", rarity="common")
    edit(card, title="Aguila rael", pack_id="andes")
    page.goto(f"/admin/cards/card/{card.pk}/history/")
    button = page.get_by_role("button", name="Undo Title, changed by bob")
    button.focus()
    with loading(page):
        page.keyboard.press("Enter")
    expect(page.locator("#changes")).to_contain_text("Águila real")
    Card.objects.update(title="somebody else's")
    with loading(page):
        page.reload()
    expect(page.locator("#changes")).to_contain_text("now: somebody else's")
    page.get_by_role("checkbox", name="Also overwrite").focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Start").focus()
    with loading(page):
        page.keyboard.press("Enter")
    expect(page.locator("#done")).to_contain_text("1 of 1")
    wait_until(lambda: Card.objects.get().title == "Águila real")
    assert Card.objects.get().pack_id == "andes"
