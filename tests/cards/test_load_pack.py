import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from cards.models import Card
from ops.models import AuditLog
from tests.cards.conftest import card, load

pytestmark = pytest.mark.usefixtures("rules")

Write = Callable[..., Path]


def catalogue() -> dict[str, dict[str, Any]]:
    hidden = ("id", "created_at", "updated_at")
    return {
        row["card_id"]: {name: value for name, value in row.items() if name not in hidden}
        for row in Card.objects.values()
    }


def versions() -> set[tuple[str, str, str]]:
    """Return the version (xmin) of each row, which an UPDATE changes."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT card_id, xmin::text, ctid::text FROM cards")
        return set(cursor.fetchall())


@pytest.mark.django_db(transaction=True)
def test_a_preview_shows_counts_and_samples_and_writes_nothing(write: Write) -> None:
    load(write([card(f"c{i}", rarity="rare") for i in range(7)]), "--execute")
    before = versions()
    path = write(
        [card(f"c{i}", title="Rey" if i < 6 else "Cóndor", metadata={}) for i in range(7)] + [card("n")],
        "b.json",
    )
    assert load(path).splitlines() == [
        "b.json:",
        "",
        "  1  would be created",
        "  6  would be changed",
        "  1  unchanged",
        "",
        "  would be created",
        "    n  Cóndor",
        "",
        "  would be changed, the first 5 of 6",
        *(line for i in range(5) for line in (f"    c{i}", "      title: Cóndor -> Rey")),
        "",
        f"Nothing was written. To execute: manage.py load_pack {path} --as ada --execute",
    ]
    assert versions() == before
    assert AuditLog.objects.count() == 7


@pytest.mark.django_db(transaction=True)
def test_a_preview_as_json_is_one_object(write: Write) -> None:
    assert json.loads(load(write([card()]), "--json")) == {
        "executed": False,
        "created": 1,
        "changed": 0,
        "unchanged": 0,
        "samples": {
            "created": {
                "cóndor": {
                    "card_id": {"old": None, "new": "cóndor"},
                    "title": {"old": None, "new": "Cóndor"},
                    "pack_id": {"old": None, "new": "aves"},
                }
            },
            "changed": {},
        },
    }


def test_the_shape_of_cards(write: Write) -> None:
    pack = {
        "packId": "aves",
        "title": "Aves de Colombia",
        "version": "1.0",
        "count": 1,
        "cards": [
            {
                "cardId": "águila-real",
                "title": "Águila real",
                "description": "Vuela alto.",
                "imageUrl": "https://example.org/a.webp",
                "rarity": "epic",
                "packId": "rapaces",
                "metadata": {"habitat": "páramo"},
                "artist": "Ana",
            }
        ],
    }
    said = load(write(pack), "--execute").splitlines()
    assert said == ["pack.json: Aves de Colombia 1.0", "", "  1  created", "  0  changed", "  0  unchanged"]
    assert catalogue() == {
        "águila-real": {
            "card_id": "águila-real",
            "title": "Águila real",
            "description": "Vuela alto.",
            "image": "https://example.org/a.webp",
            "thumbnail": "",
            "rarity": "epic",
            "rarity_v2": "epic",
            "pack_id": "rapaces",
            "tags": [],
            "metadata": {"habitat": "páramo", "artist": "Ana"},
        }
    }


def test_a_pack_with_a_wrong_count_is_loaded_with_a_warning(write: Write) -> None:
    said = load(write({"count": 3, "cards": [card()]}), "--execute").splitlines()
    assert said[:3] == ["pack.json:", "  The pack declares 3 rows, but has 1.", ""]
    assert Card.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_long_values_of_a_pack_are_truncated(write: Write) -> None:
    long, keys = "x" * 60_000, {f"k{i}": i for i in range(5_000)}
    load(write([card("a")]), "--execute")
    pack = {
        "title": long,
        "version": {"a": long},
        "count": [long],
        "cards": [card("a", metadata={long: 1, **keys})],
    }
    lines = load(write(pack)).splitlines()
    assert max(map(len, lines)) < 250
    assert len(lines) < 40


def test_the_shape_of_assets(write: Write) -> None:
    asset = {"id": "c", "title": "C", "image_url": "/c.png", "tags": ["x", 'y "z" \\'], "atk": 5, "def": 3}
    load(write({"packId": "aves", "assets": [asset]}), "--execute")
    stored = catalogue()["c"]
    assert (stored["image"], stored["tags"], stored["pack_id"]) == ("/c.png", ["x", 'y "z" \\'], "aves")
    assert stored["metadata"] == {"atk": 5, "def": 3}
    assert stored["rarity"] == "common"


def test_a_bare_list_in_snake_case(write: Write) -> None:
    load(write([{"card_id": "c", "title": "C", "pack_id": "p", "image_url": "u"}]), "--execute")
    assert (catalogue()["c"]["image"], catalogue()["c"]["pack_id"]) == ("u", "p")


def test_a_pack_may_give_its_id_after_its_cards(write: Write) -> None:
    load(write('{"cards": [{"cardId": "c", "title": "C"}], "packId": "late"}'), "--execute")
    assert catalogue()["c"]["pack_id"] == "late"


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize(("ending", "delimiter"), [("\n", ","), ("\r\n", ";"), ("\n", "\t")])
def test_csv_with_or_without_a_byte_order_mark(
    write: Write, mark: bytes, ending: str, delimiter: str
) -> None:
    cells = [
        ["cardId", "title", "packId", "rarity", "tags", "metadata", "atk", "description"],
        ["águila", '"Águila ""real"""', "aves", "rare", '"a|b c"', '"{""wing"": 2.50}"', "7", '"two\nlines"'],
        ["búho", "Búho", "aves", "", "", "", "", ""],
    ]
    text = ending.join(delimiter.join(row) for row in cells) + ending
    load(write(mark + text.encode(), "p.csv"), "--execute")
    stored = catalogue()
    assert stored["águila"]["title"] == 'Águila "real"'
    assert stored["águila"]["tags"] == ["a", "b c"]
    assert stored["águila"]["metadata"] == {"wing": 2.5, "atk": "7"}
    assert stored["águila"]["description"] == "two\nlines"
    assert (stored["búho"]["rarity"], stored["búho"]["metadata"]) == ("common", {})


SHEETS: dict[str, str] = {
    "lines of delimiters at its end": "cardId;title;packId\na;A;p\nb;B;p\n;;\n;;\n",
    "lines of delimiters and blanks": ";;\n\ncardId;title;packId\n;;\na;A;p\n ; ;\nb;B;p\n",
    "what Excel is told first": "sep=;\ncardId;title;packId\na;A;p\nb;B;p\n",
    "what Excel is told first, quoted": '"sep=,"\r\ncardId,title,packId\r\na,A,p\r\nb,B,p\r\n',
    "what Excel is told first, of a tab": "SEP=\t\ncardId\ttitle\tpackId\na\tA\tp\nb\tB\tp\n",
    "a delimiter that only it tells": "sep=|\ncardId|title|packId\na|A|p\nb|B|p\n",
    "a delimiter at the end of every line": "cardId;title;packId;\na;A;p;\nb;B;p;\n",
    "delimiters at the end of some lines": "cardId,title,packId,,\na,A,p\nb,B,p,,,\n",
    "a delimiter at the end of rows alone": "cardId,title,packId\na,A,p,\nb,B,p,\n",
    "a header with line breaks and delimiters": 'cardId;title;packId;"a, b,\nc, d"\na;A;p;\nb;B;p;\n',
    "the line ends of old Macs": "cardId,title,packId\ra,A,p\rb,B,p\r",
    "a mark and no line end": "\ufeffsep=;\ncardId;title;packId\na;A;p\nb;B;p",
}


@pytest.mark.parametrize("text", SHEETS.values(), ids=SHEETS)
def test_additions_of_a_spreadsheet_are_ignored(write: Write, text: str) -> None:
    load(write(text, "p.csv"), "--execute")
    assert {name: row["title"] for name, row in catalogue().items()} == {"a": "A", "b": "B"}


def test_json_with_a_byte_order_mark(write: Write) -> None:
    load(write(b"\xef\xbb\xbf" + json.dumps([card()]).encode()), "--execute")
    assert Card.objects.count() == 1


def test_a_file_without_a_suffix_is_detected_by_its_first_character(write: Write) -> None:
    load(write([card("json")], "pack"), "--execute")
    load(write("cardId,title,packId\ncsv,C,p\n", "other"), "--execute")
    assert set(catalogue()) == {"json", "csv"}


@pytest.mark.engine
def test_a_card_keeps_what_a_later_pack_does_not_give(write: Write) -> None:
    first = card(description="D", rarity="rare", tags=["a"], metadata={"atk": 1, "def": 2})
    load(write([first]), "--execute")
    load(write([{"cardId": "cóndor", "rarity": None, "metadata": {"atk": 9}}]), "--execute")
    stored = catalogue()["cóndor"]
    assert (stored["description"], stored["rarity"], stored["tags"]) == ("D", "rare", ["a"])
    assert stored["metadata"] == {"atk": 9, "def": 2}


def test_a_pack_that_gives_nothing_but_card_ids_changes_nothing(write: Write) -> None:
    load(write([card("a"), card("b")]), "--execute")
    assert "  2  unchanged" in load(write([{"cardId": "a"}, {"cardId": "b"}]), "--execute").splitlines()


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_a_second_load_writes_no_row_and_no_audit_row(write: Write) -> None:
    pack = [
        card(f"c{i}", rarity="rare", tags=["t"], metadata={"n": 1.50, "deep": {"a": [None]}})
        for i in range(30)
    ]
    load(write(pack), "--execute")
    before, audited = versions(), AuditLog.objects.count()
    assert load(write(pack), "--execute").splitlines()[-3:] == [
        "   0  created",
        "   0  changed",
        "  30  unchanged",
    ]
    assert (versions(), AuditLog.objects.count()) == (before, audited)
    assert load(write(pack)).splitlines()[-1] == "There is nothing to do."


@pytest.mark.engine
def test_numbers_of_metadata_are_stored_as_they_are_written(write: Write) -> None:
    number = "12345678901234567890.12345678901234567890"
    load(
        write(f'[{{"cardId": "c", "title": "C", "packId": "p", "metadata": {{"n": {number}, "e": 1e400}}}}]'),
        "--execute",
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT metadata->>'n', length(metadata->>'e') FROM cards")
        assert cursor.fetchone() == (number, 401)


@pytest.mark.engine
def test_what_is_audited_is_what_was_stored(write: Write) -> None:
    load(write([card(rarity="rare", metadata={"atk": 1})]), "--execute")
    load(write([card(rarity="epic", metadata={"def": 2})]), "--execute")
    created, changed = AuditLog.objects.order_by("pk")
    pk = str(Card.objects.get().pk)
    assert [
        (row.run_id, row.action, row.object_type, row.object_id, row.performed_by)
        for row in (created, changed)
    ] == [(None, "load_pack", "cards.card", pk, "ada")] * 2
    assert created.changes == {
        "card_id": {"old": None, "new": "cóndor"},
        "title": {"old": None, "new": "Cóndor"},
        "rarity": {"old": None, "new": "rare"},
        "rarity_v2": {"old": None, "new": "rare"},
        "pack_id": {"old": None, "new": "aves"},
        "metadata": {"new": {"atk": 1}},
    }
    assert changed.changes == {
        "rarity": {"old": "rare", "new": "epic"},
        "rarity_v2": {"old": "rare", "new": "epic"},
        "metadata": {"old": {"atk": 1}, "new": {"atk": 1, "def": 2}},
    }
    assert created.metadata["file"] == "pack.json"
    assert len(created.metadata["sha256"]) == 64


@pytest.mark.django_db(transaction=True)
def test_without_rarity_v2_new_cards_are_left_as_the_old_backend_left_them(write: Write) -> None:
    load(write([card(rarity="rare", rarityV2="rare")]), "--execute", "--without-rarity-v2")
    assert catalogue()["cóndor"]["rarity_v2"] is None
    assert load(write([card(rarity="rare")])).splitlines()[-1] == "There is nothing to do."
    Card.objects.update(rarity="epic")
    assert catalogue()["cóndor"]["rarity_v2"] == "epic", "the trigger is back"


@pytest.mark.django_db(transaction=True)
def test_without_rarity_v2_applies_only_to_new_cards(
    write: Write,
) -> None:
    load(write([card("old", rarity="rare")]), "--execute")
    Card.objects.update(rarity="epic", rarity_v2="epic")
    load(write([card("old", rarity="rare"), card("new", rarity="rare")]), "--execute", "--without-rarity-v2")
    assert {(c["card_id"], c["rarity"], c["rarity_v2"]) for c in catalogue().values()} == {
        ("old", "rare", "rare"),
        ("new", "rare", None),
    }
    assert AuditLog.objects.filter(changes__rarity_v2={"old": "epic", "new": "rare"}).count() == 1


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("flags", "stored", "audited"),
    [([], "common", {"old": None, "new": "common"}), (["--without-rarity-v2"], None, None)],
)
@pytest.mark.parametrize("others", [[], [card("other", rarity="rare")]], ids=["no card", "another card"])
def test_a_card_that_gives_no_rarity_is_common(
    write: Write, flags: list[str], stored: str | None, audited: Any, others: list[Any]
) -> None:
    load(write([card("new"), *others]), "--execute", *flags)
    new = catalogue()["new"]
    assert (new["rarity"], new["rarity_v2"]) == ("common", stored)
    changes = AuditLog.objects.get(changes__card_id__new="new").changes
    assert changes.get("rarity_v2") == audited
    assert changes.get("rarity") == ({"old": None, "new": "common"} if others else None)


@pytest.mark.engine
def test_rarity_v2_alone_sets_both_columns(write: Write) -> None:
    load(write([card(rarityV2="rare")]), "--execute")
    assert (catalogue()["cóndor"]["rarity"], catalogue()["cóndor"]["rarity_v2"]) == ("rare", "rare")


@pytest.mark.engine
def test_a_backslash_before_u0000_is_no_nul(write: Write) -> None:
    load(write([card(metadata={"regex": "\\u0000", "more": '\\"\\\\u0000'})]), "--execute")
    assert catalogue()["cóndor"]["metadata"] == {"regex": "\\u0000", "more": '\\"\\\\u0000'}


def test_the_command_line_reports_a_bad_pack_without_a_traceback(manage: Any, write: Write) -> None:
    done = manage("load_pack", write([card(title="")]))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[0].endswith("1 bad row. Nothing was loaded.")
    assert "Traceback" not in done.stderr


def test_a_file_whose_name_is_not_utf8_is_loaded_and_named(manage: Any, write: Write) -> None:
    """Old archives contain such names; Python represents the bytes by surrogates."""
    path = write([card()])
    odd = path.rename(os.fsdecode(os.fsencode(path.parent) + b"/c\xf3ndor\n.json"))
    strict = {"PYTHONIOENCODING": "utf-8:strict"}
    assert manage.process("load_pack", odd, env=strict).returncode == 0
    done = manage.process("load_pack", odd, "--execute", env=strict)
    assert (done.returncode, done.stderr) == (0, "")
    assert AuditLog.objects.filter(action="load_pack").get().metadata["file"] == "c\\udcf3ndor\n.json"
