"""Exports as CSV: what a spreadsheet would run is neutralised, and all of it is read back as it was."""

import csv
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from cards.models import Card
from tests.cards.conftest import card, load, refusal, run
from tests.cards.nasty import NASTY, fill

pytestmark = pytest.mark.django_db(transaction=True)

Write = Callable[..., Path]
NOTHING = "There is nothing to do."
RISKY = [
    "=1+1",
    "-5",
    "+1",
    "@x",
    "\t=1",
    "\r1",
    "'=1",
    "''-5",
    "'Tis",
    "''",
    '"quoted"',
    "a\nb",
    " =1",
    "1,5",
]


def exported(folder: Path, *flags: str) -> Path:
    run("export_json", "--output", folder, "--format", "csv", *flags)
    return folder / "cards.csv"


def records(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))


def stored() -> list[Any]:
    """All cards as the database holds them, with the digits of their metadata; without the last change."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT (to_jsonb(cards) - 'updated_at')::text FROM cards ORDER BY id")
        rows: list[Any] = cursor.fetchall()
        return rows


def test_a_cell_that_a_spreadsheet_would_run_gets_an_apostrophe(rules: None, tmp_path: Path) -> None:
    Card.objects.bulk_create(
        Card(card_id=f"c{n}", title=text, description=text, pack_id="p", tags=[text], metadata={"k": text})
        for n, text in enumerate(RISKY)
    )
    cells = records(exported(tmp_path / "e"))
    assert [row["title"] for row in cells] == [
        "'=1+1", "'-5", "'+1", "'@x", "'\t=1", "'\r1", "''=1", "'''-5", "'Tis", "''", '"quoted"', "a\nb",
        " =1", "1,5",
    ]  # fmt: skip
    assert not [cell for row in cells for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]
    before = stored()
    assert load(tmp_path / "e" / "cards.csv").endswith(NOTHING)
    Card.objects.update(title="x", description="", tags=[])
    load(tmp_path / "e" / "cards.csv", "--execute")
    assert stored() == before


def test_every_value_is_read_back_as_it_was(tmp_path: Path) -> None:
    fill()
    Card.objects.update(pack_id="p", tags=["a,b", "{}", NASTY[:64]])  # an id is printable
    path = exported(tmp_path / "e")
    row = records(path)[0]
    assert (row["title"], row["rarity_v2"], records(path)[1]["rarity_v2"]) == (NASTY, "\\rare\\", "")
    assert "123456789012345678901234567890.5" in row["metadata"]
    assert "1.500" in row["metadata"]
    assert load(path).endswith(NOTHING)
    before = stored()
    Card.objects.update(title="x", description="x", image="", thumbnail="x", pack_id="q", tags=["x"])
    load(path, "--execute")
    assert stored() == before


def test_a_cell_emptied_in_the_file_empties_the_text(rules: None, tmp_path: Path) -> None:
    Card.objects.create(card_id="c", title="C", pack_id="p", description="gone soon", tags=["t"])
    path = exported(tmp_path / "e")
    path.write_bytes(path.read_bytes().replace(b"gone soon", b"").replace(b'"[""t""]"', b""))
    load(path, "--execute")
    assert Card.objects.values_list("description", "tags", "title").get() == ("", [], "C")


@pytest.mark.parametrize("removed", [["id"], ["updated_at", "description"], ["metadata", "rarity", "id"]])
def test_columns_removed_in_a_spreadsheet_leave_an_export_an_export(
    rules: None, tmp_path: Path, removed: list[str]
) -> None:
    Card.objects.create(card_id="c", title="=C", pack_id="p", metadata={"a": 1})
    path = exported(tmp_path / "e")
    rows = [*csv.DictReader(path.read_text("utf-8-sig").splitlines())]
    names = [name for name in rows[0] if name not in removed]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    load(path, "--execute")
    assert Card.objects.values_list("title", "metadata").get() == ("=C", {"a": 1})


def test_a_row_added_in_a_spreadsheet_has_no_id_and_is_a_new_card(rules: None, tmp_path: Path) -> None:
    Card.objects.create(card_id="c", title="C", pack_id="p")
    path = exported(tmp_path / "e")
    header = path.read_text("utf-8-sig").splitlines()[0].split(",")
    given = {"card_id": "new", "title": "'=N", "rarity": "common", "pack_id": "p"}
    with path.open("a") as file:
        file.write(",".join(given.get(name, "") for name in header) + "\n")
    load(path, "--execute")
    assert Card.objects.values_list("title", "metadata", "tags").get(card_id="new") == ("=N", {}, [])


def test_an_apostrophe_in_a_pack_of_a_person_stays(rules: None, write: Write) -> None:
    load(write("card_id,title,pack_id\nc,'=1,p\n", "p.csv"), "--execute")
    assert Card.objects.get().title == "'=1"


@pytest.mark.parametrize("flags", [[], ["--compress"]])
def test_verification_reads_csv_and_finds_damage(tmp_path: Path, flags: list[str]) -> None:
    fill()
    path = exported(tmp_path / "e", *flags).parent
    assert run("verify_export", path).endswith("Every file is as it was exported.")
    os.truncate(next(path.glob("cards.csv*")), 100)
    with pytest.raises(SystemExit):
        run("verify_export", path)


def test_an_empty_table_is_a_header(rules: None, tmp_path: Path) -> None:
    path = exported(tmp_path / "e")
    assert path.read_text("utf-8-sig").startswith("id,card_id,title,")
    assert run("verify_export", tmp_path / "e").endswith("Every file is as it was exported.")


def test_an_import_of_csv_is_refused_with_what_to_do(rules: None, tmp_path: Path) -> None:
    exported(tmp_path / "e")
    _, said = refusal(tmp_path / "e", command="import_json")
    assert said == (
        f"{tmp_path / 'e'} is an export as CSV, which is for spreadsheets. To import it, export it as"
        f" json or jsonl. To load its cards only: manage.py load_pack {tmp_path / 'e' / 'cards.csv'}"
    )


def test_bad_cells_of_an_exported_file_are_named(rules: None, tmp_path: Path) -> None:
    Card.objects.create(card_id="c", title="C", pack_id="p", metadata={"a": 1})
    path = exported(tmp_path / "e")
    path.write_bytes(path.read_bytes().replace(b",C,", b",,").replace(b'"{""a"": 1}"', b"{a}"))
    _, said = refusal(path)
    assert said.splitlines()[-1].startswith("  line 2  title is empty")


def test_the_cards_of_a_pack_without_generated_columns_are_unlike(rules: None, write: Write) -> None:
    load(write([card(id="7", created_at="once")]), "--execute")
    assert Card.objects.get().metadata == {"id": "7", "created_at": "once"}
