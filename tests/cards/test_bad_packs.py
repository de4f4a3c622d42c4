"""Bad packs and their error messages."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from cards.models import Card, PresentationRule
from ops.models import AuditLog
from tests.cards.conftest import card, load, refusal

pytestmark = pytest.mark.usefixtures("rules")

Write = Callable[..., Path]

BAD_ROWS: dict[str, tuple[Any, str]] = {
    "no cardId": ({"title": "C", "packId": "p"}, "cardId is missing"),
    "cardId is null": (card(cardId=None), "cardId is missing"),
    "cardId is empty": (card(""), "cardId is empty"),
    "cardId is a number": (card(cardId=7), "cardId is the number 7, not text"),
    "cardId holds a space": (card("a b"), "cardId 'a b' contains a space"),
    "cardId is too long": (card("x" * 129), "cardId has 129 characters, 128 at most"),
    "no title": ({"cardId": "c", "packId": "p"}, "title is missing, and 'c' is a new row"),
    "title is blank": (card(title=" "), "title is empty"),
    "title is an object": (card(title={}), "title is an object, not text"),
    "title is too long": (card(title="x" * 256), "title has 256 characters, 255 at most"),
    "no packId": ({"cardId": "c", "title": "C"}, "packId is missing, and 'c' is a new row"),
    "unknown rarity": (
        card(rarity="mythic"),
        "rarity 'mythic' is unknown; the rarities are common, rare, epic, legendary",
    ),
    "rarity of another kind": (
        card(rarity=1),
        "rarity 1 is unknown; the rarities are common, rare, epic, legendary",
    ),
    "two rarities": (
        card(rarity="rare", rarityV2="epic"),
        "rarity is 'rare', rarityV2 is 'epic': they must be equal",
    ),
    "NUL": (card(title="a\0b"), "title contains a NUL character (\\u0000), which PostgreSQL cannot store"),
    "NUL in metadata": (
        card(metadata={"a": ["\0"]}),
        "metadata contains a NUL character (\\u0000), which PostgreSQL cannot store",
    ),
    "half a character": (
        card(title="a\ud83d"),
        "title contains half a surrogate pair (\\ud83d), which is not Unicode",
    ),
    "half a character in metadata": (
        card(metadata={"\udc00": 1}),
        "metadata contains half a surrogate pair (\\udc00), which is not Unicode",
    ),
    "a control character in an id": (
        card("a\x1b[2J"),
        "cardId contains the invisible character '\\x1b'",
    ),
    "a hidden character in an id": (
        card("a\u200b"),
        "cardId contains the invisible character '\\u200b'",
    ),
    "a line break in a pack's id": (
        card(packId="a\nb"),
        "packId contains the invisible character '\\n'",
    ),
    "metadata is a list": (card(metadata=[1]), "metadata is a list, not an object"),
    "metadata is text": (
        card(metadata="text"),
        "metadata is not JSON: Expecting value at character 1",
    ),
    "tags are a number": (card(tags=3), "tags is the number 3, not a list"),
    "a tag is null": (card(tags=["a", None]), "tags is null, not text"),
    "a tag is too long": (card(tags=["x" * 65]), "tags has 65 characters, 64 at most"),
    "one column twice": ({**card(), "card_id": "d"}, "cardId is given twice, the second time as card_id"),
    "metadata twice": (
        card(atk=1, metadata={"atk": 2}),
        "atk is given twice: in metadata, and beside it with another value",
    ),
    "a row of another kind": ("text", "is not an object"),
    "a row that is null": (None, "is not an object"),
}


@pytest.mark.parametrize(("row", "reason"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_row_is_named_with_its_reason_and_nothing_is_loaded(
    write: Write, row: Any, reason: str
) -> None:
    path = write([card("good"), row])
    for flags in ([], ["--execute"]):
        status, message = refusal(path, *flags)
        assert message.splitlines() == [
            f"{path} was refused: 1 bad row. Nothing was loaded.",
            f"  row [1]  {reason}",
        ]
        assert status == 1
    assert not Card.objects.exists()
    assert not AuditLog.objects.exists()


def test_a_duplicate_key_is_a_bad_row(write: Write) -> None:
    _, message = refusal(write('[{"cardId": "c", "title": "C", "title": "D", "packId": "p"}]'))
    assert message.splitlines()[1] == '  row [0]  gives "title" twice'


def test_a_duplicate_metadata_key_is_a_bad_row(write: Write) -> None:
    _, message = refusal(write('[{"cardId": "c", "metadata": {"a": 1, "a": 2}}]'))
    assert message.splitlines()[1] == '  row [0]  gives "a" twice'


def test_a_duplicate_card_names_the_first_one(write: Write) -> None:
    _, message = refusal(write({"cards": [card("a"), card("b"), card("a"), card("a")]}))
    assert message.splitlines()[1:] == [
        "  cards[2]  cardId 'a' is already in cards[0]",
        "  cards[3]  cardId 'a' is already in cards[0]",
    ]


def test_the_first_twenty_bad_rows_are_listed_and_the_rest_counted(write: Write) -> None:
    rows = [card("twin")] + [card(f"c{i}", title="") for i in range(30)] + [card("twin")] * 30
    rows[3] = {"cardId": "new", "packId": "p"}
    _, message = refusal(write(rows))
    lines = message.splitlines()
    assert lines[0].endswith("60 bad rows. Nothing was loaded.")
    assert [line.split("]")[0] for line in lines[1:21]] == [f"  row [{i}" for i in range(1, 21)]
    assert lines[3] == "  row [3]   title is missing, and 'new' is a new row"
    assert lines[21:] == ["  … and 40 more"]


def test_bad_rows_of_csv_are_named_by_the_line_on_which_they_begin(write: Write) -> None:
    text = 'cardId,title,packId\na,"two\nlines",p\n\nb,,p\nc,C\nd,D,p,more\ne,E,p\na,again,p\n'
    _, message = refusal(write(text, "p.csv"))
    assert message.splitlines()[1:] == [
        "  line 5  title is missing, and 'b' is a new row",
        "  line 6  has 2 cells, the header has 3",
        "  line 7  has 4 cells, the header has 3",
        "  line 9  cardId 'a' is already in line 2",
    ]


def test_line_numbers_include_lines_that_a_spreadsheet_adds(write: Write) -> None:
    text = 'sep=;\n;;;\ncardId;title;packId;\n;;;\na;"two\nlines";p;\n;;;\nb;;p;\nc;C;p;;more\n'
    _, message = refusal(write(text, "p.csv"))
    assert message.splitlines()[1:] == [
        "  line 8  title is missing, and 'b' is a new row",
        "  line 9  has 5 cells, the header has 3",
    ]


BAD_FILES: dict[str, tuple[str, str | bytes, str]] = {
    "empty": ("p.json", "", "the file is empty."),
    "empty csv": ("p.csv", "", "the file is empty."),
    "blank csv": ("p.csv", "\n\n", "the file has no header line."),
    "header only": ("p.csv", "cardId,title\n", "it has no rows."),
    "no rows": ("p.json", "[]", "it has no rows."),
    "not UTF-8": ("p.json", b'[{"a":\n "\xe1"}]', "not UTF-8: byte 0xe1 at offset 9, in line 2."),
    "csv not UTF-8": (
        "p.csv",
        "cardId\nágu".encode("latin-1"),
        "not UTF-8: byte 0xe1 at offset 7, in line 2.",
    ),
    "UTF-16": ("p.csv", "a,b".encode("utf-16"), "not UTF-8: byte 0xff at offset 0, in line 1."),
    "not JSON": ("p.json", '[{"a": 1},\n{"a"}]', "not JSON: Expecting ':' delimiter at line 2, column 5."),
    "not a number": ("p.json", '[{"a": NaN}]', "not JSON: NaN is not a JSON number at line 1, column 2."),
    "cut off": ("p.json", '[{"a": "b', "not JSON: Unterminated string at line 1, column 8."),
    "a control character": (
        "p.json",
        '[{"a": "b\tc"}]',
        "not JSON: Invalid control character '\\t' at line 1, column 10.",
    ),
    "an unknown escape": (
        "p.json",
        '[{"a": "b\\q"}]',
        "not JSON: Invalid \\X escape sequence 'q' at line 1, column 11.",
    ),
    "another shape": (
        "p.json",
        '{"birds": []}',
        'it has no list "cards" or "assets"; its top level has "birds".',
    ),
    "a name twice": ("p.json", '{"packId": "p", "cards": [], "packId": "q"}', 'it gives "packId" twice.'),
    "a list twice": ("p.json", '{"cards": [{"cardId": "c"}], "cards": []}', 'it gives "cards" twice.'),
    "a bad packId": (
        "p.json",
        '{"packId": 5, "cards": [{"cardId": "c"}]}',
        "packId is the number 5, not text.",
    ),
    "a column twice": ("p.csv", "cardId,cardId\n1,2\n", "the header names a column twice: cardId."),
    "a column without a name": ("p.csv", "cardId,,b\n1,2,3\n", "column 2 of the header has no name."),
    "an open quote": (
        "p.csv",
        'cardId,title\na,"b\n',
        "not CSV: unexpected end of data in the row that begins at line 2.",
    ),
}


@pytest.mark.parametrize(("name", "content", "reason"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_that_is_not_a_pack_is_refused_with_the_reason(
    write: Write, name: str, content: str | bytes, reason: str
) -> None:
    path = write(content, name)
    assert refusal(path, "--execute") == (1, f"{path} was refused: {reason}")
    assert not Card.objects.exists()


def test_a_file_that_cannot_be_read_is_wrong_usage(tmp_path: Path) -> None:
    missing = tmp_path / "no.json"
    assert refusal(missing) == (2, f"Cannot read {missing}: No such file or directory.")
    assert refusal(tmp_path) == (2, f"Cannot read {tmp_path}: Is a directory.")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe.json")
    assert refusal(pipe) == (2, f"Cannot read {pipe}: a pack must be a regular file, since it is read twice.")


def test_a_header_with_a_very_long_cell_is_refused(write: Write) -> None:
    _, message = refusal(write("x" * (16 << 20) + "x\na\n", "p.csv"))
    detail = "not CSV: a cell has more than 16,777,216 characters in the row that begins at line 1."
    assert message.endswith(f"was refused: {detail}")


@pytest.mark.parametrize("flags", [[], ["--execute"]])
def test_a_check_constraint_of_the_site_is_checked_in_the_preview(write: Write, flags: list[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE cards ADD CONSTRAINT trial CHECK (title NOT LIKE '%bad%' OR tags = '{}')")
    status, message = refusal(write([card("good"), card(title="a bad one", tags=["x"])]), *flags)
    assert status == 1
    assert message.splitlines()[1].startswith(
        """  row [1]  'a bad one, {x}' violates the constraint "trial": CHECK"""
    )


def test_a_check_that_a_trigger_may_satisfy_is_left_to_the_database(write: Write) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE cards ADD CONSTRAINT trial CHECK (rarity_v2 IS NOT DISTINCT FROM rarity)")
    load(write([card(rarity="rare")]), "--execute")
    status, message = refusal(write([card("new")]), "--execute", "--without-rarity-v2")
    assert status == 1
    assert message.startswith("The database refused the load: ")
    assert '"trial"' in message


def test_a_row_with_several_reasons_is_one_bad_row(write: Write) -> None:
    _, message = refusal(write("cardId,title,packId\na9,,\nb9,,\nb9,B,p\n", "count.csv"))
    assert message.splitlines() == [
        f"{message.split(' was')[0]} was refused: 3 bad rows. Nothing was loaded.",
        "  line 2  title and packId are missing, and 'a9' is a new row",
        "  line 3  title and packId are missing, and 'b9' is a new row",
        "  line 4  cardId 'b9' is already in line 3",
    ]


LONG = "x" * 60_000
LONG_ROWS: dict[str, Any] = {
    "its id": card(LONG),
    "its id, with a space": card(f"a {'x' * 120}"),
    "a key": {**card(), "card_id": "a", f"card{'-' * 60_000}id": "b"},
    "a key of metadata": card(**{LONG: 1}, metadata={LONG: 2}),
    "its rarity": card(rarity=LONG),
    "its rarity, a list": card(rarity=[LONG]),
    "a number": '[{"cardId": %s}]' % ("9" * 4000),
    "a number beyond": '[{"cardId": "a", "n": 1e%s}]' % ("9" * 4000),
    "a key twice": f'[{{"{LONG}": 1, "{LONG}": 2}}]',
    "its image": card(image=f"../{'x' * 900}"),
    "names at its top": {f"{LONG}{i}": 1 for i in range(2000)},
    "its packId": {"packId": {"a": LONG}, "cards": [card()]},
}


@pytest.mark.parametrize("content", LONG_ROWS.values(), ids=LONG_ROWS)
def test_long_bad_values_are_truncated(write: Write, content: Any) -> None:
    path = write(content if isinstance(content, str) or "cardId" not in content else [content])
    status, message = refusal(path)
    assert status == 1
    assert max(map(len, message.splitlines())) < len(str(path)) + 700


def test_long_duplicate_columns_of_a_header_are_truncated(write: Write) -> None:
    names = [f"{LONG}{i}" for i in range(100)]
    _, message = refusal(write(",".join(names * 2), "p.csv"))
    assert len(message) < 1000


def test_without_rules_a_pack_is_refused_with_the_command_that_loads_them(write: Write) -> None:
    PresentationRule.objects.all().delete()
    status, message = refusal(write([card()]))
    assert (status, message) == (
        1,
        "There are no presentation rules. Load them first: manage.py load_rules --execute",
    )
