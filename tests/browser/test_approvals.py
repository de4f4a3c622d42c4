"""A run that needs two people, each in a browser of their own: asked for, approved, at its end."""

from collections.abc import Iterator

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import Group, User
from django.test import Client
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from cards.models import Card, PresentationRule
from kyndo.roles import create_groups
from ops.models import Approval
from tests.browser.conftest import loading

pytestmark = [pytest.mark.usefixtures("worker"), pytest.mark.long]

PROMOTE = (
    "/admin/cards/card/operate/bulk_promote/?across=1&with-from_rarity=common&with-to_rarity=rare&answered=1"
)


@pytest.fixture(autouse=True)
def _cards(transactional_db: None, settings: LazySettings) -> None:
    settings.OPS_APPROVAL_ROWS = 10
    create_groups("default")
    for order, rarity in enumerate(("common", "rare")):
        PresentationRule.objects.create(rarity=rarity, frame_color="#4A90E2", sort_order=order)
    Card.objects.bulk_create(Card(card_id=f"card-{n}", title=f"Card {n}", pack_id="p") for n in range(12))


@pytest.fixture
def bobs_page(chromium: Browser, live_server: LiveServer, _cards: None) -> Iterator[Page]:
    """A second browser, in which Bob is signed in, who may approve."""
    bob = User.objects.create_user("bob", is_staff=True)
    bob.groups.add(Group.objects.get(name="approvers"))
    client = Client()
    client.force_login(bob)
    context = chromium.new_context(base_url=live_server.url)
    context.add_cookies(
        [{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}]
    )
    page = context.new_page()
    yield page
    context.close()


def test_one_person_asks_and_another_approves(page: Page, bobs_page: Page) -> None:
    page.goto(PROMOTE)
    expect(page.locator("#need")).to_contain_text("12 cards are more than the 10")
    page.get_by_label("What for?").fill("The new season.")
    expect(page.locator("#start")).to_be_visible()  # a comment changes nothing that was previewed
    with loading(page):
        page.get_by_role("button", name="Ask for approval").click()
    expect(page.locator("#state")).to_have_text("awaiting approval")
    expect(page.locator("#decide")).to_contain_text("Those who may: bob")

    bobs_page.goto("/admin/")
    expect(bobs_page.locator("#to-decide")).to_contain_text("1 run waits for your approval")
    with loading(bobs_page):
        bobs_page.get_by_role("link", name="Waiting for approval").click()
    with loading(bobs_page):
        bobs_page.locator("#mine").get_by_role("link").click()
    expect(bobs_page.locator("#count")).to_have_text("12 cards")
    expect(bobs_page.locator("blockquote")).to_have_text("The new season.")
    # By keyboard alone.
    bobs_page.get_by_label("Comment").focus()
    bobs_page.keyboard.type("Looks right.")
    bobs_page.keyboard.press("Tab")
    with loading(bobs_page):
        bobs_page.keyboard.press("Enter")
    expect(bobs_page.locator("#state")).to_have_text("succeeded")

    # Ada's page has noticed it by itself.
    expect(page.locator("#state")).to_have_text("succeeded")
    expect(page.locator("#live")).to_contain_text("approved by bob: Looks right.")
    assert Approval.objects.get().decision == "approved"
    assert {*Card.objects.values_list("rarity", flat=True)} == {"rare"}


def test_what_somebody_types_is_not_lost_when_another_decides(page: Page, bobs_page: Page) -> None:
    page.goto(PROMOTE)
    with loading(page):
        page.get_by_role("button", name="Ask for approval").click()
    bobs_page.goto(page.url)
    bobs_page.get_by_label("Comment").fill("Not before Monday.")
    with loading(page):
        page.get_by_role("button", name="Cancel").click()
    expect(bobs_page.locator("#decided")).to_be_visible()
    expect(bobs_page.get_by_label("Comment")).to_have_value("Not before Monday.")
    with loading(bobs_page):
        bobs_page.get_by_role("button", name="Decline").click()
    expect(bobs_page.get_by_text("What you wrote is not stored: “Not before Monday.”")).to_be_visible()
    expect(bobs_page.get_by_text("It never started: cancelled by ada")).to_be_visible()
