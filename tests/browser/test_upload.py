"""A pack in a browser, by keyboard alone: uploaded, compared, started, reverted, while somebody edits."""

import json
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import LazySettings
from playwright.sync_api import Page, expect

from cards.models import Card, PresentationRule
from ops.models import Run, Upload
from tests.browser.conftest import loading

pytestmark = [pytest.mark.usefixtures("worker"), pytest.mark.long]


def find_problems(page: Page) -> list[str]:
    violations = Axe().run(page).response["violations"]
    return [each["id"] for each in violations if each["impact"] in ("serious", "critical")]


def press_to(page: Page, selector: str) -> None:
    """Press Tab until the element has the focus."""
    for _ in range(120):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement?.matches(selector)", selector):
            return
    raise AssertionError(f"The keyboard does not reach {selector}")


def test_a_pack_from_its_file_to_the_revert_by_keyboard(page: Page, tmp_path: Path) -> None:
    PresentationRule.objects.create(rarity="common", frame_color="#4A90E2", sort_order=1)
    for name in ("aguila", "condor"):
        Card.objects.create(card_id=name, title=name, pack_id="aves")
    pack = tmp_path / "aves.json"
    titles = {"aguila": "Águila real", "condor": "Cóndor", "buho": "Búho"}
    pack.write_text(
        json.dumps([{"cardId": key, "title": title, "packId": "aves"} for key, title in titles.items()])
    )

    page.goto("/admin/cards/card/")
    press_to(page, 'a[href="/admin/cards/card/upload/"]')
    with loading(page):
        page.keyboard.press("Enter")
    assert find_problems(page) == []
    page.get_by_label("File").set_input_files(pack)
    press_to(page, "#send")
    with loading(page):
        page.keyboard.press("Enter")
    expect(page.locator("#counts")).to_have_text("1 new2 changed0 unchanged, not listed")
    expect(page.locator("#diff tbody tr")).to_have_count(3)
    assert find_problems(page) == []
    assert Upload.objects.get().state == "staged"

    Card.objects.filter(card_id="condor").update(title="By another browser")
    page.get_by_label("Show").select_option("conflicts")
    press_to(page, ".ops-filters button[type=submit]")
    with loading(page):
        page.keyboard.press("Enter")
    expect(page.locator("#diff tbody tr")).to_have_count(1)
    expect(page.locator("#diff")).to_contain_text("By another browser")

    press_to(page, "#apply")
    with loading(page):
        page.keyboard.press("Enter")
    expect(page.locator("#count")).to_have_text("2 cards")
    press_to(page, "#start")
    with loading(page):
        page.keyboard.press("Enter")
    expect(page.locator("#state")).to_have_text("succeeded")
    expect(page.locator("#done")).to_have_text("2 of 2")
    stored = dict(Card.objects.values_list("card_id", "title"))
    assert stored == {"aguila": "Águila real", "condor": "By another browser", "buho": "Búho"}

    with loading(page):
        page.get_by_role("link", name="Revert").click()
    with loading(page):
        page.get_by_role("button", name="Start the run").click()
    expect(page.locator("#state")).to_have_text("succeeded")
    assert dict(Card.objects.values_list("card_id", "title")) == {
        "aguila": "aguila", "condor": "By another browser",
    }  # fmt: skip
    assert Run.objects.count() == 2


def test_a_file_too_large_is_refused_before_it_is_sent(
    page: Page, settings: LazySettings, tmp_path: Path
) -> None:
    settings.UPLOAD_MAX_BYTES = 10
    large = tmp_path / "large.csv"
    large.write_text("card_id,title\n")
    page.goto("/admin/cards/card/upload/")
    page.get_by_label("File").set_input_files(large)
    expect(page.locator("#file-problem")).to_contain_text("This file is larger than")
    page.locator("#send").click()
    expect(page.locator("#file-problem")).to_be_visible()
    assert not Upload.objects.exists()
