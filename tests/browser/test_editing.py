"""A card edited in a browser: what was not touched stays, and two people do not overwrite one another."""

import pytest
from django.db import connection
from playwright.sync_api import Page, expect

from cards.models import Card, PresentationRule
from ops.models import AuditLog

pytestmark = pytest.mark.long

TEXT = "\nTwo\nlines\n"
TAGS = ["a, b", ' "c" ', "two\nlines"]
METADATA = '{"a": 0.12345678901234567890123, "b": 1.10, "c": "old"}'


@pytest.fixture
def card(transactional_db: None, redis_server: object) -> Card:
    for order, rarity in enumerate(("common", "rare")):
        PresentationRule.objects.create(rarity=rarity, frame_color="#4A90E2", sort_order=order)
    made = Card.objects.create(card_id="a", title="A", pack_id="p", description=TEXT, tags=TAGS)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE cards SET metadata = %s", [METADATA])
    return made


def page_of(card: Card) -> str:
    return f"/admin/cards/card/{card.pk}/change/"


def save(page: Page) -> None:
    page.get_by_role("button", name="Save and continue").click()


def held() -> tuple[str, ...]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT title, description, metadata::text FROM cards")
        return tuple(cursor.fetchone())


def test_what_a_person_did_not_touch_is_not_written(page: Page, card: Card) -> None:
    page.goto(page_of(card))
    page.get_by_label("Title").fill("B")
    metadata = page.get_by_label("Metadata")
    metadata.fill(metadata.input_value().replace("old", "new"))
    save(page)
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    assert held() == ("B", TEXT, METADATA.replace("old", "new"))
    assert Card.objects.get().tags == TAGS
    assert [sorted(changes) for changes in AuditLog.objects.values_list("changes", flat=True)] == [
        ["metadata", "title"]
    ]


def test_the_second_of_two_tabs_is_shown_what_the_first_saved(page: Page, card: Card) -> None:
    other = page.context.new_page()
    for tab in (page, other):
        tab.goto(page_of(card))
    page.get_by_label("Title").fill("First")
    save(page)
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    other.get_by_label("Title").fill("Second")
    save(other)
    expect(other.get_by_text("While this form was open, ada changed this value to")).to_be_visible()
    expect(other.locator("pre", has_text="First")).to_be_visible()
    expect(other.get_by_label("Title")).to_have_value("Second")
    assert held()[0] == "First"
    save(other)
    expect(other.get_by_text("was changed successfully")).to_be_visible()
    assert held()[0] == "Second"
