"""Cards edited as in a spreadsheet, by mouse and by keyboard, while somebody else changes one of them."""

import re

import pytest
from playwright.sync_api import Page, expect

from cards.models import Card, PresentationRule
from ops.models import AuditLog, ChangeSet, Run
from ops.runs.lifecycle import cancel
from tests.browser.conftest import loading
from tests.browser.test_list_keys import find_serious

pytestmark = pytest.mark.long

SHEET = "/admin/cards/card/sheet/"


@pytest.fixture(autouse=True)
def _cards(transactional_db: None) -> None:
    for order, rarity in enumerate(("common", "rare")):
        PresentationRule.objects.create(rarity=rarity, frame_color="#4A90E2", sort_order=order)
    for number in range(4):
        Card.objects.create(card_id=f"card-{3 - number}", title=f"Card {3 - number}", pack_id="p")


@pytest.fixture
def clipboard(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])


def copy_text(page: Page, text: str) -> None:
    """Put what a spreadsheet would on the clipboard."""
    page.evaluate("(text) => navigator.clipboard.writeText(text)", text)


def cell(page: Page, row: int, column: int) -> str:
    """Return the text of a cell; column 0 is the key."""
    return page.locator(f".ops-sheet tbody tr:nth-child({row + 1}) > :nth-child({column + 1})").inner_text()


def column(page: Page, number: int, rows: int = 4) -> list[str]:
    return [cell(page, row, number) for row in range(rows)]


def counted(page: Page, text: str) -> None:
    expect(page.locator("#sheet-count")).to_have_text(text)


def test_by_mouse_a_range_is_filled_reviewed_and_started(page: Page, worker: None) -> None:
    page.goto("/admin/cards/card/")
    with loading(page):
        page.get_by_role("link", name="Edit as a sheet").click()
    page.get_by_role("gridcell", name="Card 0").dblclick()
    page.get_by_role("textbox", name="Title of card-0").fill("Cóndor")
    rarity = page.locator(".ops-sheet tbody td:nth-child(3)")
    rarity.nth(0).dblclick()
    page.get_by_role("combobox", name="Rarity of card-0").select_option("rare")
    page.get_by_role("gridcell", name="Card 3").click()
    rarity.nth(0).hover()
    page.mouse.down()
    page.mouse.move(*centre(page, 3, 2), steps=5)
    page.mouse.up()
    page.get_by_role("button", name="Fill down").click()
    assert column(page, 2) == ["rare"] * 4
    page.keyboard.press("Control+z")  # the keys go to the cells again
    page.keyboard.press("Control+y")
    counted(page, "5 cells in 4 cards changed")
    assert find_serious(page) == []

    Card.objects.filter(card_id="card-2").update(rarity="epic", rarity_v2="epic")  # somebody else
    with loading(page):
        page.get_by_role("button", name="Review changes").click()
    expect(page.locator("#counts")).to_contain_text(re.compile(r"to change\s*4"))
    expect(page.get_by_role("row", name="Card 2")).to_contain_text("now: epic")
    assert find_serious(page) == []
    with loading(page):
        page.get_by_role("button", name="Start").click()
    expect(page.locator("#state")).to_have_text("succeeded")
    changed = dict(Card.objects.values_list("card_id", "rarity"))
    assert changed == {"card-0": "rare", "card-1": "rare", "card-2": "epic", "card-3": "rare"}
    assert AuditLog.objects.filter(run=Run.objects.get()).count() == 3

    page.goto(SHEET)  # what was started is not offered again
    expect(page.locator("#sheet-drafts")).to_be_empty()


def centre(page: Page, row: int, column: int) -> tuple[float, float]:
    box = page.locator(f".ops-sheet tbody tr:nth-child({row + 1}) > :nth-child({column + 1})").bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_by_keyboard_alone_cells_are_edited_taken_back_and_started(
    page: Page, worker: None, clipboard: None
) -> None:
    page.goto(SHEET)
    press, write = page.keyboard.press, page.keyboard.type
    write("Buitre")  # replaces
    press("Enter")
    press("F2")
    write(" negro")
    press("Enter")
    write("lost")
    press("Escape")
    assert column(page, 1) == ["Buitre", "Card 1 negro", "Card 2", "Card 3"]
    press("Delete")
    expect(page.locator("#sheet-note")).to_contain_text("Title cannot be empty")
    press("Control+Home")
    press("ArrowRight")
    press("Tab")
    write("r")  # the choice that begins so
    press("Enter")
    press("ArrowUp")
    for _ in range(3):
        press("Shift+ArrowDown")
    press("Control+d")
    assert column(page, 2) == ["rare"] * 4
    press("Control+z")
    assert column(page, 2) == ["rare", "common", "common", "common"]
    press("Control+y")
    assert column(page, 2) == ["rare"] * 4
    press("Control+z")
    press("Control+Home")
    press("ArrowRight")
    press("Control+c")
    press("ArrowDown")
    press("ArrowDown")
    press("Control+v")
    assert column(page, 1) == ["Buitre", "Card 1 negro", "Buitre", "Card 3"]
    counted(page, "4 cells in 3 cards changed")

    press("Escape")  # leaves the table
    expect(page.get_by_role("button", name="Review changes")).to_be_focused()
    with loading(page):
        press("Enter")
    start = page.get_by_role("button", name="Start")
    while not start.evaluate("(button) => button === document.activeElement"):
        press("Tab")
    with loading(page):
        press("Enter")
    expect(page.locator("#state")).to_have_text("succeeded")
    titles = dict(Card.objects.values_list("card_id", "title"))
    assert titles == {"card-0": "Buitre", "card-1": "Card 1 negro", "card-2": "Buitre", "card-3": "Card 3"}


def test_what_spreadsheets_put_on_the_clipboard_is_pasted(page: Page, clipboard: None) -> None:
    page.goto(SHEET)
    press = page.keyboard.press
    for _ in range(4):
        press("ArrowRight")  # to the description
    copy_text(page, '"two\nlines with ""quotes"" and\ta tab"\r\n"so"\r\n2,5\r\n01/12/2026\r\nbeyond\r\n')
    press("Control+v")
    assert column(page, 5) == [
        'two ↵ lines with "quotes" and\ta tab'.replace("\t", " "),
        '"so"',
        "2,5",
        "01/12/2026",
    ]
    expect(page.locator("#sheet-note")).to_contain_text("1 of 5 rows do not fit below the last row: beyond")
    copy_text(page, "gris\r\n")
    press("Control+v")  # one value fills the range
    assert column(page, 5) == ["gris"] * 4

    press("Control+Home")
    copy_text(page, "card-2\tDos\tRARE\r\ncard-1\tUno\tgolden\r\n")
    press("Control+v")  # by key
    assert column(page, 1) == ["Card 0", "Uno", "Dos", "Card 3"]
    assert column(page, 2) == ["common", "golden", "rare", "common"]
    counted(page, "8 cells in 4 cards changed; 1 is refused")
    page.get_by_role("button", name="Review changes").click()
    expect(page.locator("#sheet-cell")).to_contain_text("“golden” is not one of: common, rare.")
    assert not ChangeSet.objects.exists()


def test_a_long_sheet_is_typed_into_wherever_it_is_scrolled(page: Page) -> None:
    """Only rows near the shown ones have cells; the active cell keeps the keyboard."""
    Card.objects.bulk_create(Card(card_id=f"c-{n}", title="t", pack_id="p") for n in range(400))
    page.goto(f"{SHEET}")
    page.keyboard.press("Control+End")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.locator("#sheet-box").evaluate("(box) => { box.scrollTop = 0 }")
    expect(page.get_by_role("row", name="c-399")).to_be_visible()
    page.keyboard.press("Delete")  # a title may not be empty
    expect(page.locator("#sheet-note")).to_contain_text("Title cannot be empty")
    page.keyboard.press("ArrowUp")
    page.keyboard.type("up")
    page.keyboard.press("Enter")
    expect(page.get_by_role("gridcell", name="up")).to_be_visible()
    counted(page, "1 cell in 1 card changed")
    assert page.locator(".ops-sheet tr").count() < 100


def test_rows_with_a_header_line_find_cards_of_no_page_and_edits_are_kept(page: Page) -> None:
    Card.objects.filter(card_id="card-0").update(description="x" * 10_001)
    page.goto(f"{SHEET}?q=card-3")
    page.get_by_role("button", name="Paste rows").click()
    page.get_by_role("textbox", name="Rows").fill("card_id,description\ncard-0,short\n")
    page.get_by_role("button", name="Put into the sheet").click()
    expect(page.locator("#sheet-paste-note")).to_contain_text("1 cell is too long for a sheet, and stayed")
    expect(page.get_by_role("textbox", name="Rows")).to_have_value("card_id\tdescription\ncard-0\tshort")
    rows = "title\tcard_id\tnote\nDos\tcard-2\tx\nNobody\tcard-9\ty\n"
    page.get_by_role("textbox", name="Rows").fill(rows)
    page.get_by_role("button", name="Put into the sheet").click()
    expect(page.locator("#sheet-paste-note")).to_contain_text("No card has this key: card-9")
    expect(page.get_by_role("textbox", name="Rows")).to_have_value(re.compile("Nobody\tcard-9"))
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("gridcell", name="Dos")).to_be_visible()
    counted(page, "1 cell in 1 card changed")

    page.once("dialog", lambda dialog: dialog.accept())
    with loading(page):
        page.goto(f"{SHEET}?q=card-1")
    page.get_by_role("button", name="Restore").click()
    counted(page, "1 cell in 1 card changed")
    expect(page.get_by_role("textbox", name="Title of card-1")).to_be_focused()
    expect(page.get_by_role("gridcell", name="Dos")).to_be_visible()


def test_a_change_set_waits_for_a_claimed_column_and_starts_then(page: Page) -> None:
    """There is no worker: what holds the column stays as it is until the test lets it go."""
    for title in ("one", "two"):
        page.goto(SHEET)
        page.keyboard.type(title)
        page.keyboard.press("Enter")
        with loading(page):
            page.get_by_role("button", name="Review changes").click()
        if title == "one":
            with loading(page):
                page.get_by_role("button", name="Start").click()
    first = Run.objects.get()
    expect(page.locator("#holder")).to_contain_text(f"Run {first.pk} (Apply change set, started by ada)")
    page.get_by_role("button", name="Wait, and start then").click()
    expect(page.locator("#waiting")).to_contain_text("Waiting, and trying again")
    with loading(page):
        cancel(first)
    second = Run.objects.latest("pk")
    expect(page).to_have_url(re.compile(f"/ops/run/{second.pk}/"))
    assert second.pk != first.pk
