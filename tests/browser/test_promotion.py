"""A promotion in a browser: select, preview, start, follow, revert."""

import re

import pytest
from playwright.sync_api import Page, expect

from cards.models import Card, PresentationRule
from ops.models import AuditLog, Run
from tests.browser.conftest import loading

pytestmark = [pytest.mark.usefixtures("worker"), pytest.mark.long]


@pytest.fixture(autouse=True)
def _cards(transactional_db: None) -> None:
    for order, rarity in enumerate(("common", "rare")):
        PresentationRule.objects.create(rarity=rarity, frame_color="#4A90E2", sort_order=order)


def make_cards(count: int) -> None:
    Card.objects.bulk_create(Card(card_id=f"card-{n}", title=f"Card {n}", pack_id="p") for n in range(count))


def ask_for_promotion(page: Page) -> None:
    page.locator("select[name=action]").select_option(label="Bulk promote")
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_label("From rarity").select_option("common")
    page.get_by_label("To rarity").select_option("rare")


def rarities() -> dict[str, str]:
    return dict(Card.objects.order_by("pk").values_list("card_id", "rarity"))


def test_a_promotion_from_selection_to_revert(page: Page) -> None:
    make_cards(3)
    page.goto("/admin/cards/card/")
    for card in ("card-0", "card-2"):
        page.get_by_role("row", name=card).get_by_role("checkbox").check()
    page.evaluate("document.body.dataset.same = 'page'")
    ask_for_promotion(page)
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#count")).to_have_text("2 cards")
    expect(page.locator("#samples")).to_contain_text("card-0")
    assert not Run.objects.exists()

    page.get_by_role("button", name="Start the run").click()
    promoted = page.locator(".ops-followed-run").nth(0)
    expect(promoted).to_contain_text("Bulk promote: done")
    expect(promoted).to_contain_text("2 of 2")
    assert rarities() == {"card-0": "rare", "card-1": "common", "card-2": "rare"}
    run = Run.objects.get()
    assert AuditLog.objects.filter(run=run, performed_by="ada").count() == 2
    expect(page.get_by_role("row", name="card-2").get_by_role("checkbox")).to_be_checked()

    promoted.get_by_role("link", name="Undo").click()
    expect(page.locator("#count")).to_have_text("2 cards")
    page.get_by_role("button", name="Start the run").click()
    reverted = page.locator(".ops-followed-run").nth(1)
    expect(reverted).to_contain_text(f"Revert of run {run.pk}: done")
    assert set(rarities().values()) == {"common"}
    assert page.evaluate("document.body.dataset.same") == "page"

    with loading(page):
        reverted.get_by_role("link", name="See the run").click()
    expect(page.locator("#state")).to_have_text("succeeded")
    with loading(page):
        page.locator("#related").get_by_role("link", name=f"run {run.pk}").click()
    expect(page.locator("#state")).to_have_text(f"reverted by run {Run.objects.latest('pk').pk}")
    expect(page.get_by_role("link", name="Revert …")).to_have_count(0)


def test_the_page_follows_the_run_and_its_buttons_work(page: Page) -> None:
    """Asked for on pages, as without the script that asks in place."""
    page.route("**/in_place.js", lambda route: route.fulfill(body="", content_type="text/javascript"))
    make_cards(3000)
    page.goto("/admin/cards/card/")
    page.locator("#action-toggle").check()
    page.get_by_role("link", name="Select all 3000 cards").click()
    with loading(page):
        ask_for_promotion(page)
    page.get_by_text("Execution options").click()
    page.get_by_label("Max rate").fill("150")
    with loading(page):
        page.get_by_role("button", name="Preview").click()
    with loading(page):
        page.get_by_role("button", name="Start the run").click()
    expect(page).to_have_url(re.compile(r"/ops/run/\d+/"))
    # The page refreshes itself without a reload while the run is active.
    page.evaluate("document.body.dataset.same = 'page'")
    page.get_by_text("For operators").click()
    expect(page.locator("#speed")).to_have_text(re.compile(r"\d+ rows/s, .* left"))
    expect(page.locator("#done")).to_have_text(re.compile(r"^[1-9][\d,]* of 3,000$"))
    assert page.evaluate("document.body.dataset.same") == "page"
    expect(page.locator("#for-operators")).to_have_attribute("open", "")

    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#state")).to_have_text("paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#state")).to_have_text("running")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#state")).to_have_text("cancelled")
    assert 0 < Card.objects.filter(rarity="rare").count() < 3000
