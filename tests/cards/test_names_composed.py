"""Decomposed names (NFD, as on macOS) are equal to composed ones (NFC)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest
from django.db import connection

from cards.models import Card, PresentationRule
from tests.cards.conftest import card, load, refusal, run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("rules")]

Write = Callable[..., Path]
NFC = "águila-ñandú"
NFD = normalize("NFD", NFC)


def ids() -> list[str]:
    return list(Card.objects.order_by("pk").values_list("card_id", flat=True))


@pytest.mark.parametrize(("first", "second"), [(NFC, NFD), (NFD, NFC)])
def test_the_same_id_decomposed_makes_no_second_card(write: Write, first: str, second: str) -> None:
    load(write([card(first, packId=first)]), "--execute")
    load(write([card(second, packId=second, title="Changed")]), "--execute")
    assert list(Card.objects.values_list("card_id", "pack_id", "title")) == [(NFC, NFC, "Changed")]


def test_both_forms_in_one_pack_are_a_duplicate_id(write: Write) -> None:
    _, message = refusal(write([card(NFC), card(NFD)]))
    assert message.splitlines()[1] == f"  row [1]  cardId '{NFC}' is already in row [0]"


@pytest.mark.parametrize("spelling", [NFC, NFD])
def test_a_pack_updates_a_card_that_is_stored_decomposed(write: Write, spelling: str) -> None:
    """Cards of packs loaded by older versions."""
    Card.objects.create(card_id=NFD, title="Old", pack_id="p")
    load(write([card(spelling, title="New"), card("another-é")]), "--execute")
    assert ids() == [NFD, "another-é"]
    assert Card.objects.first().title == "New"
    assert load(write([card(spelling, title="New")])).endswith("There is nothing to do.")


@pytest.mark.engine
def test_of_two_stored_forms_a_pack_updates_the_composed_one(write: Write) -> None:
    for name in (NFD, NFC):
        Card.objects.create(card_id=name, title="Old", pack_id="p")
    load(write([card(NFD, title="New")]), "--execute")
    assert dict(Card.objects.values_list("card_id", "title")) == {NFD: "Old", NFC: "New"}


def test_a_rarity_is_accepted_in_either_form(write: Write) -> None:
    rule = {"rarity": normalize("NFD", "común"), "frameColor": "#123456", "sortOrder": 50}
    load(write([rule], "r.json"), "--execute", command="load_rules")
    assert PresentationRule.objects.filter(rarity="común").exists()
    PresentationRule.objects.create(rarity=normalize("NFD", "única"), frame_color="#123456", sort_order=51)
    load(write([card("a", rarity=normalize("NFD", "común")), card("b", rarity="única")]), "--execute")
    assert list(Card.objects.order_by("card_id").values_list("rarity", flat=True)) == [
        "común",
        normalize("NFD", "única"),
    ]


@pytest.mark.parametrize(("written", "stored"), [(NFC, NFD), (NFD, NFC), (NFD, NFD)])
def test_a_picture_is_found_by_either_form_of_its_path(
    write: Write, tmp_path: Path, written: str, stored: str
) -> None:
    folder = tmp_path / stored
    folder.mkdir()
    (folder / f"{stored}.webp").write_bytes(b"a picture")
    message = load(write([card(packId="p", image=f"{written}/{written}.webp")]), "--execute")
    assert Card.objects.get().image.startswith(f"packs/p/{NFC}.")
    assert "Not beside" not in message


def test_missing_pictures_are_reported(write: Write) -> None:
    pack = write([
        card("a", image=f"none/{NFC}.webp"),
        card("b", image="none/b.webp"),
        card("c", image="https://example.org/c.webp"),
        card("d", image="packs/p/d.0123456789ab.webp"),
    ])  # fmt: skip
    remark = (
        f"  2 pictures were not found in the folder of the pack; the first: 'none/{NFC}.webp'."
        " The values are stored unchanged."
    )
    assert load(pack).splitlines()[1] == remark
    assert load(pack, "--execute").splitlines()[1] == remark


def test_one_missing_picture_is_reported_with_its_name(write: Write) -> None:
    assert load(write([card("a", image="x.png")])).splitlines()[1] == (
        "  1 picture was not found in the folder of the pack: 'x.png'."
        " The value of image is stored unchanged."
    )


def test_names_of_the_node_backend_are_normalized_and_matched(node: Path) -> None:
    for name in ("cards.json", "presentation_rules.json"):
        (node / name).write_text(normalize("NFD", (node / name).read_text()))
    Card.objects.create(card_id="águila-real", title="Here", pack_id="p")
    run("import_json", node, "--execute")
    assert ids() == ["águila-real", "copetón", "loro"]
    assert run("import_json", node).endswith("There is nothing to do.")


def test_an_export_keeps_the_form_of_names(tmp_path: Path) -> None:
    for name in (NFD, NFC):
        Card.objects.create(card_id=name, title="t", pack_id=name)
    run("export_json", "--output", tmp_path / "e", "--audit-logs", "0")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM cards; DELETE FROM presentation_rules")
    run("import_json", tmp_path / "e", "--execute")
    assert ids() == [NFD, NFC]


def test_a_long_name_makes_a_file_name_that_fits(write: Write, tmp_path: Path) -> None:
    name = "ñ" * 120
    (tmp_path / f"{name}.webp").write_bytes(b"a picture")
    load(write([card(packId="ж" * 128, image=f"{name}.webp")]), "--execute")
    assert all(len(part.encode()) < 256 for part in Card.objects.get().image.split("/"))


def test_a_card_of_another_name_is_another_card(write: Write) -> None:
    """Confusable letters, such as a Greek omicron, are not normalized."""
    pack: list[Any] = [card("coco"), card("c\u03bfc\u03bf")]
    load(write(pack), "--execute")
    assert len(ids()) == 2
