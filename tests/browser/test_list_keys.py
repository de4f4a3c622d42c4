"""The list of cards by keyboard alone: search, move, tick, open; and the command palette."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from cards.models import Card, PresentationRule
from tests.browser.conftest import loading

pytestmark = pytest.mark.long


def find_serious(page: Page) -> list[str]:
    """Return what axe-core finds serious in what is open now, in dark: the worse of the two."""
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    violations = Axe().run(page).response["violations"]
    return [each["id"] for each in violations if each["impact"] in ("serious", "critical")]


def test_a_list_is_used_by_keyboard_alone(page: Page, transactional_db: None) -> None:
    PresentationRule.objects.create(rarity="common", frame_color="#4A90E2", sort_order=1)
    for name in ("condor", "buitre", "aguila"):
        Card.objects.create(card_id=name, title=name.title(), pack_id="aves")
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/admin/cards/card/?layout=grid")
    tops = "[...document.querySelectorAll('.ops-tile')].map((tile) => tile.getBoundingClientRect().top)"
    first, second, third = page.evaluate(tops)
    assert first == second < third
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.set_viewport_size({"width": 1280, "height": 800})
    press = page.keyboard.press

    press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    press("Escape")
    page.get_by_role("button", name="Filters").press("Enter")
    expect(page.get_by_label("Tags")).to_be_visible()
    expect(page.locator("#changelist-filter :focus")).to_be_visible()
    press("Escape")
    expect(page.get_by_role("button", name="Filters")).to_be_focused()
    press("/")
    page.keyboard.type("aves")
    with loading(page):
        press("Enter")
    expect(page.locator("#conditions")).to_contain_text("aves")
    expect(page.locator("tr.data-row")).to_have_count(3)  # the search kept the grid
    press("j")
    press("ArrowRight")
    expect(page.locator("tr.data-row:focus-within")).to_contain_text("Buitre")
    press("Space")
    expect(page.get_by_label("Select Buitre")).to_be_checked()
    expect(page.get_by_text("1 of 3 selected")).to_be_visible()
    assert find_serious(page) == []
    with loading(page):
        press("Enter")
    expect(page).to_have_url(re.compile(r"/change/"))
    expect(page.get_by_label("Title")).to_have_value("Buitre")

    press("Control+k")
    page.get_by_placeholder("Type to search").fill("CÓNDOR")
    press("Enter")  # too early: it waits
    expect(page.locator("#command-results-list li.active")).to_contain_text("Card condor, common")
    assert find_serious(page) == []
    with loading(page):
        press("Enter")
    expect(page.get_by_label("Title")).to_have_value("Condor")
