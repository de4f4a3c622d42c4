"""Editing a card in a browser: unedited fields stay as they are, and no update is lost."""

import pytest
from django.db import connection
from playwright.sync_api import Page, expect

from cards.models import Card, PresentationRule
from ops.models import AuditLog
from tests.browser.conftest import loading

pytestmark = pytest.mark.long

TEXT = "\nTwo\nlines\n"
TAGS = ["a, b", ' "c" ', "two\nlines"]
METADATA = '{"a": 0.12345678901234567890123, "b": 1.10, "c": "old"}'


@pytest.fixture
def card(transactional_db: None, redis_server: object) -> Card:
    for order, rarity in enumerate(("common", "rare")):
        PresentationRule.objects.create(
            rarity=rarity, frame_color="#4A90E2", badge_icon="star", sort_order=order
        )
    card = Card.objects.create(card_id="a", title="A", pack_id="p", description=TEXT, tags=TAGS)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE cards SET metadata = %s", [METADATA])
    return card


def change_url(card: Card) -> str:
    return f"/admin/cards/card/{card.pk}/change/"


def save(page: Page) -> None:
    with loading(page):
        page.get_by_role("button", name="Save and continue").click()


def stored_values() -> tuple[str, ...]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT title, description, metadata::text FROM cards")
        return tuple(cursor.fetchone())


def test_unedited_fields_are_not_written(page: Page, card: Card) -> None:
    page.goto(change_url(card))
    page.get_by_label("Title").fill("B")
    page.get_by_label("Metadata c", exact=True).fill("new")
    expect(page.get_by_text("Not saved yet: Title, Metadata")).to_be_visible()
    save(page)
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    assert stored_values() == ("B", TEXT, METADATA.replace("old", "new"))
    assert Card.objects.get().tags == TAGS
    assert [sorted(changes) for changes in AuditLog.objects.values_list("changes", flat=True)] == [
        ["metadata", "title"]
    ]


def test_a_card_is_edited_by_keyboard_alone(page: Page, card: Card) -> None:
    def press(*keys: str) -> None:
        for key in keys:
            page.keyboard.press(key)

    page.goto(change_url(card))
    page.locator("#id_rarity").focus()
    press("ArrowDown")  # the preview follows at once
    expect(page.locator("#preview-badge")).to_have_text("rare")
    expect(page.locator("#card-preview .cards-frame")).to_have_attribute("data-icon", "star")
    page.get_by_label("Tags").focus()
    page.keyboard.type("x, y")
    press("Enter", "Backspace", "ArrowLeft", "Backspace")  # the tag before the last
    page.get_by_role("button", name="Add to Metadata").focus()
    press("Enter")
    page.keyboard.type("d")
    press("Tab", "n", "Tab")  # the kind "Number"
    press("Control+a")
    page.keyboard.type("2.50")
    page.get_by_role("button", name="Save and continue").focus()
    with loading(page):
        press("Enter")
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    card.refresh_from_db()
    assert (card.rarity, card.tags) == ("rare", [*TAGS[:-1], "x, y"])
    assert stored_values()[2] == METADATA.replace("}", ', "d": 2.50}')


def test_one_click_saves_the_tag_that_was_typed_last(page: Page, card: Card) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(change_url(card))
    page.get_by_label("Tags").fill("typed last")
    save(page)
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    assert Card.objects.get().tags == [*TAGS, "typed last"]


def test_the_second_tab_is_shown_what_the_first_saved(page: Page, card: Card) -> None:
    other = page.context.new_page()
    for tab in (page, other):
        tab.goto(change_url(card))
    page.get_by_label("Title").fill("First")
    save(page)
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    other.get_by_label("Title").fill("Second")
    other.evaluate("dispatchEvent(new Event('focus'))")
    expect(other.get_by_text("ada changed Title since you opened this form.")).to_be_visible()
    save(other)
    expect(other.get_by_text("While this form was open, ada changed this value to")).to_be_visible()
    expect(other.locator("pre", has_text="First")).to_be_visible()
    expect(other.get_by_label("Title")).to_have_value("Second")
    assert stored_values()[0] == "First"
    save(other)
    expect(other.get_by_text("was changed successfully")).to_be_visible()
    assert stored_values()[0] == "Second"


def test_a_rule_is_dragged_to_another_place_and_gets_a_colour(page: Page, card: Card) -> None:
    page.goto("/admin/cards/presentationrule/")
    handle, first = page.locator(".cards-handle").nth(1), page.locator(".cards-rule").nth(0)
    handle.hover()
    page.mouse.down()
    place = first.bounding_box()
    assert place
    for share in (0.8, 0.5, 0.1):  # a drag is several moves
        page.mouse.move(place["x"] + 30, place["y"] + share * place["height"], steps=5)
    page.mouse.up()
    expect(page.locator(".cards-rule .cards-badge")).to_have_text(["rare", "common"])
    with loading(page):
        page.get_by_role("link", name="rare Edit").click()
    page.get_by_label("Pick a colour").fill("#123456")
    expect(page.locator("#id_frame_color")).to_have_value("#123456")
    expect(page.locator("#preview-badge .cards-badge")).to_have_css("color", "rgb(255, 255, 255)")
    expect(page.get_by_text("Saving draws the thumbnails of 0 cards again")).to_be_visible()
    with loading(page):
        page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    rules = PresentationRule.objects.values_list("rarity", "frame_color")
    assert list(rules) == [("rare", "#123456"), ("common", "#4A90E2")]
