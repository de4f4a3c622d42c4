"""Damaged exports are refused with the reason, and the database is unchanged."""

import os
from functools import partial
from pathlib import Path

import pytest

from cards.models import Asset, Card, PresentationRule
from ops.models import AuditLog
from tests.cards.conftest import refusal, run
from tests.cards.nasty import fill

pytestmark = pytest.mark.django_db(transaction=True)

refused = partial(refusal, command="import_json")


@pytest.mark.parametrize(
    ("name", "old", "new", "reason"),
    [
        ("cards.json", '"def": 3\n  },', '"def": 3', "not JSON: Expecting ',' delimiter or '}' at line 37"),
        ("cards.json", '"def": 3', '"def": NaN', "not JSON: NaN is not a JSON number at line 2, column 3."),
        ("cards.json", '"def": 3', '"def": 3, "def": 4', 'row [0]  gives "def" twice'),
        ("cards.json", '"artist"', '"atk"', 'row [0]  gives "atk" twice'),
        (
            "cards.json",
            '"rarity": "epic"',
            '"rarity": "mythic"',
            "rarity 'mythic' is unknown; the rarities are",
        ),
        ("cards.json", '"Copetón"', '"a\\u0000"', "row [1]  title contains a NUL character (\\u0000)"),
        (
            "cards.json",
            '"cardId": "loro"',
            '"cardId": "copetón"',
            "cardId 'copetón' is already in row [1]",
        ),
        (
            "cards.json",
            "2024-01-28T14",
            "2024-01-32T14",
            "createdAt is the text '2024-01-32T14:30:00.000Z', not a",
        ),
        ("cards.json", "images/loro.webp", "../loro.webp", "image '../loro.webp' is outside its folder"),
        ("assets.json", "thumbs/", "../../", "filePath '../../aguila.webp' is outside its folder"),
        ("assets.json", '"metadata"', '"cardId": "none", "metadata"', "its card 'none' is not in the export"),
        # By the database, when the cards are written already.
        ("assets.json", "image/webp", "webp", "assets_mime_type_shape"),
        ("audit_logs.json", '"action": "UPDATE",', "", "row [0]  action is missing"),
        ("presentation_rules.json", "#CCCCCC", "grey", "frameColor is 'grey': A frame color is hexadecimal"),
        ("export_summary.json", "{", "[", "is damaged: "),
        ("export_summary.json", '"counts"', '"count"', "is not the summary of an export: it has no counts."),
        ("export_summary.json", '"cards": 3', '"cards": 4', "it has 3 rows, the summary says 4."),
        (
            "export_summary.json",
            "{",
            '{"kyndo": "1", "files": {"../cards.json": {}},',
            "names the file '../cards.json'",
        ),
        ("export_summary.json", "{", '{"kyndo": "1",', "names no file of presentation_rules, cards, assets"),
    ],
)
def test_a_damaged_file_is_refused_with_its_reason_and_nothing_is_changed(
    node: Path, name: str, old: str, new: str, reason: str
) -> None:
    text = (node / name).read_text()
    assert old in text
    (node / name).write_text(text.replace(old, new, 1))
    status, message = refused(node, "--execute")
    assert status == 1
    assert reason in message
    assert not any(model.objects.exists() for model in (PresentationRule, Card, Asset, AuditLog))


def test_files_that_cannot_be_read_are_refused_with_their_name(node: Path, tmp_path: Path) -> None:
    summary = node / "export_summary.json"
    summary.rename(tmp_path / "summary.json")
    assert refused(node) == (2, f"There is no export in {node}: it has no export_summary.json.")
    (tmp_path / "summary.json").rename(summary)
    cards = node / "cards.json"
    cards.rename(tmp_path / "elsewhere.json")
    assert refused(node) == (1, f"{node} is not a complete export: cards.json is missing.")
    cards.symlink_to(tmp_path / "elsewhere.json")
    assert refused(node) == (1, f"{cards} was refused: cannot be read: it is a link.")
    cards.unlink()
    os.mkfifo(cards)
    assert refused(node) == (1, f"{cards} was refused: it is not a regular file.")
    cards.unlink()
    cards.write_bytes(b'[{"a": "\xe1"}]')
    assert refused(node) == (1, f"{cards} was refused: not UTF-8: byte 0xe1.")
    assert refused(tmp_path / "none") == (
        2, f"There is no export in {tmp_path}/none: No such file or directory.",
    )  # fmt: skip


def test_a_compressed_file_that_is_cut_off_or_no_gzip_is_refused(tmp_path: Path) -> None:
    fill()
    run("export_json", "--output", tmp_path / "e", "--compress")
    cards = tmp_path / "e" / "cards.json.gz"
    whole = cards.read_bytes()
    for content, reason in [
        (whole[:-1], f"it has {len(whole) - 1} bytes, the summary says {len(whole)}."),
        (whole[:200] + bytes([whole[200] ^ 255]) + whole[201:], ""),
        (b"no gzip".ljust(len(whole)), "not gzip: Not a gzipped file (b'no')."),
    ]:
        cards.write_bytes(content)
        status, message = refused(tmp_path / "e", "--execute")
        assert status == 1
        assert message.startswith(f"{cards} was refused: {reason}")
    assert Card.objects.count() == 3
