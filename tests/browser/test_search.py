"""The search of cards in a browser: its box, and what limits the list."""

import pytest
from playwright.sync_api import Page, expect

from cards.models import Card, PresentationRule
from tests.browser.conftest import loading

pytestmark = pytest.mark.long


def test_a_person_searches_narrows_and_finds_the_way_back(page: Page, transactional_db: None) -> None:
    PresentationRule.objects.create(rarity="common", frame_color="#4A90E2", sort_order=1)
    for name in ("Águila real", "Águila arpía", "Búho"):
        Card.objects.create(card_id=name.replace(" ", "-"), title=name, pack_id="aves")
    page.goto("/admin/cards/card/?pack_id__exact=aves")
    rows, box, conditions = (
        page.locator("tr.data-row"),
        page.locator("#searchbar"),
        page.locator("#conditions a"),
    )

    box.fill("AGUILA")
    with loading(page):
        box.press("Enter")
    expect(rows).to_have_count(2)
    expect(box).to_have_value("AGUILA")
    expect(conditions).to_have_text(["search AGUILA close", "pack id aves close", "Remove all"])

    box.fill("kondor")
    with loading(page):
        box.press("Enter")
    expect(page.locator("#empty")).to_contain_text("No card matches “kondor” with these filters")
    with loading(page):
        page.get_by_label("Remove search: kondor").click()
    expect(rows).to_have_count(3)
    expect(conditions).to_have_text(["pack id aves close"])
    with loading(page):
        page.get_by_label("Remove pack id: aves").click()
    expect(page.locator("#conditions")).to_have_count(0)
