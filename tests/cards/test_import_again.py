"""Import of a second, later export of the Node backend after the first."""

import json
from pathlib import Path
from typing import Any

import pytest

from cards.models import Asset, Card, PresentationRule
from tests.cards.conftest import refusal, run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.engine]


def rewrite(node: Path, name: str, **changes: Any) -> None:
    """Change the first row of a file."""
    path = node / f"{name}.json"
    first, *rest = json.loads(path.read_text())
    path.write_text(json.dumps([{**first, **changes}, *rest]))


def test_a_null_of_the_node_backend_empties_the_column(node: Path) -> None:
    run("import_json", node, "--execute")
    rewrite(node, "cards", description=None, imageUrl=None, thumbnailPath=None, rarityV2=None)
    rewrite(node, "assets", generatedBy=None)
    rewrite(node, "presentation_rules", badgeIcon=None)
    run("import_json", node, "--execute")
    eagle = Card.objects.get(card_id="águila-real")
    assert (eagle.description, eagle.image) == ("", "")
    assert eagle.thumbnail == "thumbs/aguila.webp", "thumbnails are KYNDO's to make"
    assert (Asset.objects.get().generated_by, PresentationRule.objects.order_by("pk")[0].badge_icon) == (
        "",
        "",
    )
    assert run("import_json", node).endswith("There is nothing to do.")


@pytest.mark.parametrize(
    ("name", "key", "original"),
    [("cards", "cardId", "águila-real"), ("assets", "assetKey", "thumb:águila-real")],
)
def test_a_row_renamed_in_the_source_is_not_created_again(
    node: Path, name: str, key: str, original: str
) -> None:
    run("import_json", node, "--execute")
    rewrite(node, name, **{key: "renamed"})
    for flags in ([], ["--execute"]):
        status, message = refusal(node, *flags, command="import_json")
        assert status == 1
        assert "  row [0]  In the database, id 'cl" in message
        row = name.removesuffix("s")
        assert message.endswith(
            f" belongs to the {row} '{original}', but the file calls it 'renamed'."
            f" Rename the {row} in the database first."
        )
    (Card if name == "cards" else Asset).objects.filter(
        **{"card_id" if name == "cards" else "asset_key": original}
    ).update(**{"card_id" if name == "cards" else "asset_key": "renamed"})
    run("import_json", node, "--execute")


def test_a_row_deleted_in_the_source_is_kept(node: Path) -> None:
    run("import_json", node, "--execute")
    (node / "cards.json").write_text(json.dumps(json.loads((node / "cards.json").read_text())[:-1]))
    summary = json.loads((node / "export_summary.json").read_text())
    summary["counts"]["cards"] -= 1
    (node / "export_summary.json").write_text(json.dumps(summary))
    assert run("import_json", node).endswith("There is nothing to do.")
    assert Card.objects.count() == 3
