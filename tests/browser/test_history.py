"""The history of a card and the search of the audit log in a browser, from the form to the filters."""

import re

import pytest
from playwright.sync_api import Page, expect

from cards.models import Card, PresentationRule
from tests.browser.conftest import loading

pytestmark = pytest.mark.long


def test_an_edit_is_found_in_the_history_and_by_the_search(
    page: Page, transactional_db: None, redis_server: object
) -> None:
    PresentationRule.objects.create(rarity="common", frame_color="#4A90E2", sort_order=1)
    description = " ".join(f"Sentence {n} tells of the bird." for n in range(40))
    card = Card.objects.create(card_id="a", title="Cóndor real", description=description, pack_id="p")
    page.goto(f"/admin/cards/card/{card.pk}/change/")
    page.get_by_label("Title").fill("Cóndor andino real")
    page.get_by_label("Description").fill(description.replace("20 tells", "20 sings"))
    with loading(page):
        page.get_by_role("button", name="Save and continue").click()

    with loading(page):
        page.get_by_role("link", name="history History").click()  # the icon's name, then the text
    expect(page.locator("ins").first).to_have_text("andino ")
    expect(page.locator("article time")).to_have_text(re.compile("^today "))
    expect(page.locator("article time")).to_have_attribute("title", re.compile("UTC$"))
    expect(page.get_by_text("Sentence 10 tells")).to_be_hidden()
    page.get_by_text("Show all").click()
    expect(page.locator("details").get_by_text("Sentence 10 tells")).to_be_visible()
    expect(page.locator(".ops-short")).to_be_hidden()
    page.get_by_label("Field").select_option("Rarity")
    with loading(page):
        page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_text("No change matches.")).to_be_visible()

    page.goto("/admin/ops/auditlog/")
    page.get_by_label("What").fill("cóndor")
    page.get_by_label("Person").fill("grace")
    with loading(page):
        page.get_by_role("button", name="Find").click()
    expect(page.locator("article")).to_have_count(0)
    with loading(page):
        page.get_by_role("link", name="Remove the filter Person: grace").click()
    expect(page.get_by_role("article")).to_contain_text("Cóndor andino real")
    expect(page.get_by_role("textbox", name="What")).to_have_value("cóndor")
    page.get_by_role("link", name="History of card Cóndor andino real").click()
    expect(page).to_have_url(re.compile(f"/cards/card/{card.pk}/history/"))
