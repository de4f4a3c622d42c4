"""Files of KYNDO's own export loaded as packs and rules."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cards.models import Card, PresentationRule
from ops.models import AuditLog
from ops.sql.dual_write import dual_writes_off
from tests.cards.conftest import card, load, refusal, run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.engine]

Write = Callable[..., Path]
NOTHING = "There is nothing to do."


@pytest.mark.parametrize("form", ["json", "jsonl", "csv"])
def test_an_export_of_migrated_node_data_is_loaded_as_a_pack(node: Path, tmp_path: Path, form: str) -> None:
    """The cards have two ids, KYNDO's and the Node backend's in metadata; one has two rarities."""
    run("import_json", node, "--execute")
    before = list(Card.objects.order_by("pk").values())
    run("export_json", "--output", tmp_path / "e", "--format", form)
    assert load(tmp_path / "e" / f"cards.{form}").endswith(NOTHING)
    assert load(tmp_path / "e" / f"presentation_rules.{form}", command="load_rules").endswith(NOTHING)
    Card.objects.filter(card_id="copetón").update(title="Changed", rarity="common", rarity_v2="common")
    load(tmp_path / "e" / f"cards.{form}", "--execute")
    hidden = ("updated_at",)
    assert [
        {k: v for k, v in row.items() if k not in hidden} for row in Card.objects.order_by("pk").values()
    ] == [{k: v for k, v in row.items() if k not in hidden} for row in before]
    assert load(tmp_path / "e" / f"cards.{form}").endswith(NOTHING)


def test_an_export_is_loaded_into_another_catalogue_without_its_keys(tmp_path: Path) -> None:
    run("load_rules", "--execute")
    with dual_writes_off():
        Card.objects.create(
            card_id="c", title="C", pack_id="p", rarity="rare", rarity_v2="epic", metadata={"a": 1}
        )
    run("export_json", "--output", tmp_path / "e")
    Card.objects.all().delete()
    load(tmp_path / "e" / "cards.json", "--execute")
    made = Card.objects.get()
    assert (made.rarity, made.rarity_v2, made.metadata) == ("rare", "epic", {"a": 1})


@pytest.mark.usefixtures("rules")
def test_an_id_that_a_pack_gives_beside_the_card_id_stays_its_own(write: Write) -> None:
    load(write([card(id=7, created_at="once")]), "--execute")
    assert Card.objects.get().metadata == {"id": 7, "created_at": "once"}


@pytest.mark.usefixtures("rules")
def test_a_pack_with_a_row_on_each_line_is_loaded(write: Write) -> None:
    lines = [json.dumps({"id": name, "title": name, "packId": "p"}) for name in "ab"]
    load(write("\n".join(lines), "p.jsonl"), "--execute")
    assert set(Card.objects.values_list("card_id", flat=True)) == {"a", "b"}
    _, said = refusal(write("\n".join([*lines, "", '{"id": "c"}', "5"]), "p.jsonl"))
    assert said.splitlines()[1:] == [
        "  row [2]  title and packId are missing, and 'c' is a new row",
        "  row [3]  is not an object",
    ]
    _, said = refusal(write("\n".join(lines), "p.json"))
    assert said.endswith("there is more after its first object: if each line is a row, name the file .jsonl.")


def test_two_rarities_of_a_row_come_in_as_they_are_into_a_catalogue_in_use(node: Path) -> None:
    """Without the flag the trigger would copy the changed rarity to the other column."""
    run("load_rules", "--execute")
    Card.objects.create(card_id="copetón", title="Copetón", pack_id="aves", rarity="common")
    PresentationRule.objects.filter(rarity="legendary").delete()
    run("import_json", node, "--execute")
    copeton = Card.objects.get(card_id="copetón")
    assert (copeton.rarity, copeton.rarity_v2) == ("common", "rare")
    rows = AuditLog.objects.count()
    assert run("import_json", node).endswith(NOTHING)
    run("import_json", node, "--execute")
    assert AuditLog.objects.count() == rows


def test_a_rarity_alone_is_copied_to_the_other_by_the_trigger(node: Path) -> None:
    run("load_rules", "--execute")
    Card.objects.create(card_id="águila-real", title="Á", pack_id="aves", rarity="common")
    run("import_json", node, "--execute")
    eagle = Card.objects.get(card_id="águila-real")
    assert (eagle.rarity, eagle.rarity_v2) == ("epic", "epic")
