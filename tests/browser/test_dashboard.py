"""The dashboard and the pages of a run in a browser, by keyboard alone."""

import pytest
from playwright.sync_api import Page, expect

from cards.models import Card, PresentationRule
from ops.models import Run
from ops.operations import registry
from ops.queue.enqueue import enqueue_run
from tests.browser.conftest import loading
from tests.ops.running import create_run

pytestmark = [pytest.mark.usefixtures("worker"), pytest.mark.long]


@pytest.fixture
def run(transactional_db: None) -> Run:
    """A run of seconds on the worker."""
    for order, rarity in enumerate(("common", "rare")):
        PresentationRule.objects.create(rarity=rarity, frame_color="#4A90E2", sort_order=order)
    Card.objects.bulk_create(Card(card_id=f"card-{n}", title=f"Card {n}", pack_id="p") for n in range(300))
    params = {"from_rarity": "common", "to_rarity": "rare"}
    run = create_run(registry.get_operation("bulk_promote"), params=params, workers=1, max_rate=100)
    enqueue_run(run)
    return run


def test_a_run_is_found_watched_and_its_changes_browsed(page: Page, run: Run) -> None:
    page.goto("/admin/")
    expect(page.locator("#rarities")).to_contain_text("common")
    expect(page.locator(".ops-panel[aria-busy=true]")).to_have_count(0)
    link = page.locator("#running").get_by_role("link", name=f"Run {run.pk}")
    link.focus()
    with loading(page):
        page.keyboard.press("Enter")

    expect(page.get_by_role("img", name="Rows changed")).to_be_visible()  # drawn while it goes on
    expect(page.locator("#state")).to_have_text("succeeded")
    expect(page.locator("#done")).to_have_text("300 of 300")
    page.get_by_role("link", name="What it changed: 300 cards").focus()
    with loading(page):
        page.keyboard.press("Enter")

    page.get_by_label("Find a card").focus()
    page.keyboard.type("card-7")
    with loading(page):
        page.keyboard.press("Enter")
    expect(page.locator("#changes tbody tr")).to_have_count(1)
    expect(page.locator("#changes")).to_contain_text("Card 7")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as CSV").focus()
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == f"run-{run.pk}-changes.csv"
