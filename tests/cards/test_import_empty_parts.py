"""Import of an export with an empty part, as of a catalogue without assets."""

import io
from pathlib import Path

import pytest
from django.core.management import call_command

from cards.models import Asset, Card, PresentationRule
from tests.cards.conftest import run

pytestmark = pytest.mark.django_db(transaction=True)

FILES = ("presentation_rules", "cards", "assets", "audit_logs")


@pytest.fixture
def without_cards(node: Path) -> Path:
    """Return an export of the Node backend that contains only rules."""
    for name in FILES[1:]:
        (node / f"{name}.json").write_text("[]\n")
    (node / "export_summary.json").write_text('{"exportedAt": "2026-01-01T00:00:00.000Z", "counts": {}}')
    return node


@pytest.mark.parametrize("used", [False, True], ids=["empty", "used"])
@pytest.mark.parametrize("part", FILES[1:])
def test_an_export_with_an_empty_part_is_loaded(node: Path, part: str, used: bool) -> None:
    if used:
        for order, rarity in enumerate(("common", "rare", "epic")):
            PresentationRule.objects.create(rarity=rarity, frame_color="#CCCCCC", sort_order=order)
    (node / f"{part}.json").write_text("[]\n")
    (node / "export_summary.json").write_text('{"exportedAt": "2026-01-01T00:00:00.000Z", "counts": {}}')
    if part == "cards":
        (node / "assets.json").write_text("[]")
    run("import_json", node)
    run("import_json", node, "--execute")
    assert Card.objects.exists() == (part != "cards")
    assert Asset.objects.exists() == (part == "audit_logs")
    assert run("import_json", node).endswith("There is nothing to do.")


@pytest.mark.parametrize("used", [False, True], ids=["empty", "used"])
def test_an_export_of_rules_alone_is_loaded(without_cards: Path, used: bool) -> None:
    if used:
        PresentationRule.objects.create(rarity="common", frame_color="#CCCCCC", sort_order=9)
    run("import_json", without_cards, "--execute")
    assert PresentationRule.objects.count() == 3


@pytest.mark.engine
def test_the_export_of_a_catalogue_comes_back_into_the_same(tmp_path: Path) -> None:
    """The state after `make demo`, which creates no assets."""
    run("load_rules", "--execute")
    for flags in ([], ["--filter", "card_id=none"]):
        call_command("export_json", "--output", tmp_path / "e", "--overwrite", *flags, stdout=io.StringIO())
        run("import_json", tmp_path / "e", "--execute")
        assert run("import_json", tmp_path / "e").endswith("There is nothing to do.")
