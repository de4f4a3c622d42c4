"""The confirmation page in a browser: the form that is shown is what starts, whatever was previewed."""

import pytest
from playwright.sync_api import Page, expect
from redis import Redis

from cards.models import Card, PresentationRule
from ops.models import Run
from tests.browser.conftest import loading

pytestmark = pytest.mark.long

PREVIEWED = (
    "/admin/cards/card/operate/bulk_promote/?across=1&with-from_rarity=common&with-to_rarity=rare&answered=1"
)
CHANGED = "The form changed after this preview"


@pytest.fixture(autouse=True)
def _cards(transactional_db: None, redis_server: Redis) -> None:
    for order, rarity in enumerate(("common", "rare", "epic")):
        PresentationRule.objects.create(rarity=rarity, frame_color="#4A90E2", sort_order=order)
    Card.objects.create(card_id="card-1", title="Card 1", pack_id="p")


def test_changing_the_form_hides_the_preview(page: Page) -> None:
    page.goto(PREVIEWED)
    expect(page.locator("#samples")).to_contain_text("common → rare")
    page.get_by_label("To rarity").select_option("epic")
    expect(page.get_by_text(CHANGED)).to_be_visible()
    expect(page.locator("#start")).to_be_hidden()
    page.get_by_label("To rarity").select_option("rare")
    expect(page.locator("#start")).to_be_visible()
    page.get_by_text("Execution options").click()
    page.get_by_label("Max rate").fill("7")
    expect(page.locator("#start")).to_be_hidden()
    with loading(page):
        page.get_by_role("button", name="Preview").click()
    page.get_by_role("button", name="Start the run").click()
    expect(page.locator("#state")).to_have_text("queued")
    assert Run.objects.values_list("params__to_rarity", "max_rate").get() == ("rare", 7)


def test_a_form_filled_without_events_starts_nothing(page: Page) -> None:
    """Autofill may change a field without an event; the page compares again when it is shown again."""
    page.goto(PREVIEWED)
    page.evaluate("document.querySelector('[name=with-to_rarity]').value = 'epic'")
    page.evaluate("window.dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    expect(page.locator("#start")).to_be_hidden()
    with loading(page):
        page.evaluate("document.getElementById('asking').requestSubmit()")
    expect(page.get_by_text("Nothing was started: the form changed after the preview")).to_be_visible()
    expect(page.locator("#samples")).to_contain_text("common → epic")
    assert not Run.objects.exists()


def test_after_going_back_form_and_preview_agree(page: Page) -> None:
    page.goto(PREVIEWED)
    page.get_by_label("To rarity").select_option("epic")
    with loading(page):
        page.get_by_role("button", name="Preview").click()
    expect(page.locator("#samples")).to_contain_text("common → epic")
    page.go_back()
    shown = page.get_by_label("To rarity").input_value()
    expect(page.locator("#previewed[aria-busy]")).to_have_count(0)
    if page.locator("#start").is_visible():
        expect(page.locator("#samples")).to_contain_text(f"common → {shown}")
        page.get_by_role("button", name="Start the run").click()
        expect(page.locator("#state")).to_have_text("queued")
        assert Run.objects.get().params["to_rarity"] == shown
    else:
        expect(page.get_by_text(CHANGED)).to_be_visible()


def test_two_clicks_start_one_run(page: Page) -> None:
    page.goto(PREVIEWED)
    page.get_by_role("button", name="Start the run").dblclick()
    expect(page.locator("#state")).to_have_text("queued")
    assert Run.objects.count() == 1


def test_without_the_script_a_changed_form_is_previewed_again(page: Page) -> None:
    page.route("**/confirmation.js", lambda route: route.fulfill(body="", content_type="text/javascript"))
    page.goto(PREVIEWED)
    with loading(page):
        page.get_by_role("link", name="Wait for the whole page").click()
    page.get_by_label("To rarity").select_option("epic")
    with loading(page):
        page.get_by_role("button", name="Start the run").click()
    expect(page.get_by_text("Nothing was started: the form changed after the preview")).to_be_visible()
    assert not Run.objects.exists()
    page.goto(f"{page.url}&part=page")
    expect(page.locator("#samples")).to_contain_text("common → epic")
    page.get_by_role("button", name="Start the run").click()
    expect(page.locator("#state")).to_have_text("queued")
    assert Run.objects.get().params["to_rarity"] == "epic"
