import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cards.packs.json_source import JsonSource
from ops.exceptions import InvalidContent
from ops.json_reader import DuplicateKey, JsonReader

scalars = (
    st.none() | st.booleans() | st.integers() | st.text() | st.decimals(allow_nan=False, allow_infinity=False)
)
values = st.recursive(scalars, lambda v: st.lists(v, max_size=4) | st.dictionaries(st.text(), v, max_size=4))


def rows(text: str) -> list[tuple[int, Any]]:
    return list(JsonSource(Path("p.json"), io.StringIO(text), ("cards", "assets")))


def dumps(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value:E}"
    if isinstance(value, list):
        return "[" + " ,".join(map(dumps, value)) + " ]"
    if isinstance(value, dict):
        return "{" + ",\n".join(f"{json.dumps(key)} : {dumps(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)


@given(st.lists(values, max_size=5), st.integers(1, 40))
def test_json_is_read_the_same_in_chunks_of_any_size(items: list[Any], chunk: int) -> None:
    text = " " + dumps(items) + "\n"
    expected = json.loads(text, parse_float=Decimal)
    assert list(JsonReader(io.StringIO(text), chunk).iter_items()) == expected


@given(st.lists(values, min_size=1, max_size=5), st.integers(1, 40), st.data())
def test_invalid_json_has_the_same_error_in_chunks_of_any_size(
    items: list[Any], chunk: int, data: Any
) -> None:
    text = dumps(items)
    cut = data.draw(st.integers(1, len(text) - 1))
    broken = (
        text[:cut]
        + data.draw(st.sampled_from(["", "\x01", "]", "}", "nul", '"', "\\", "\n"]))
        + text[cut + 1 :]
    )

    def outcome(size: int) -> Any:
        try:
            return list(JsonReader(io.StringIO(broken), size).iter_items())
        except InvalidContent as exc:
            return str(exc)

    assert outcome(chunk) == outcome(1 << 20)


@pytest.mark.parametrize(
    ("text", "positions"),
    [
        ('[{"a": 1}, {"a": 2}]', [0, 1]),
        ('{"packId": "p", "cards": [{}, {}], "count": 2}', [0, 1]),
        ('{"assets": [{}]}', [0]),
        ("[]", []),
        ('{"cards": []}', []),
        ("  \n\t[ {} \r\n] ", [0]),
    ],
)
def test_the_shapes_that_packs_have(text: str, positions: list[int]) -> None:
    assert [position for position, _ in rows(text)] == positions


def test_top_level_keys_may_be_before_or_after_the_list() -> None:
    source = JsonSource(Path("p"), io.StringIO('{"packId": "p", "cards": [{}], "version": "2"}'), ("cards",))
    list(source)
    assert source.top_level == {"packId": "p", "version": "2"}


def test_a_row_label_contains_its_list() -> None:
    source = JsonSource(Path("p"), io.StringIO('{"cards": [1, 2], "assets": [3, 4]}'), ("cards", "assets"))
    assert [source.row_label(position) for position, _ in source] == [
        "cards[0]",
        "cards[1]",
        "assets[0]",
        "assets[1]",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the file is empty."),
        (" \n ", "the file is empty."),
        ("cards", "neither a JSON object nor a list: it begins with 'c'."),
        ('"cards"', "neither a JSON object nor a list: it begins with '\"'."),
        ("{}", 'it has no list "cards" or "assets"; its top level has nothing.'),
        ('{"packId": 1}', 'it has no list "cards" or "assets"; its top level has "packId".'),
        ('{"cards": {}}', 'it has no list "cards" or "assets"; its top level has "cards".'),
        ('[{"a": 1},\n {"a": }]', "not JSON: Expecting value at line 2, column 8."),
        ('[{"a": 1},\n {"a" 1}]', "not JSON: Expecting ':' delimiter at line 2, column 7."),
        ("[1, 2", "not JSON: Expecting ',' or ']' at line 1, column 6."),
        ("[1 2]", "not JSON: Expecting ',' or ']' at line 1, column 4."),
        ('{"a": 1, }', "not JSON: Expecting a name in double quotes at line 1, column 10."),
        ("[NaN]", "not JSON: NaN is not a JSON number at line 1, column 2."),
        ("[-Infinity]", "not JSON: -Infinity is not a JSON number at line 1, column 2."),
        ("[] []", "not JSON: there is more after its end."),
        ("[1e99999]", "not JSON: The number 1e99999 is out of the database's range at line 1, column 2."),
        ("[" * 100_000, "not JSON: Nested too deeply at line 1, column 2."),
    ],
)
def test_json_that_is_not_a_pack_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidContent) as caught:
        rows(text)
    assert str(caught.value) == reason


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '{"m": [[{"a": 1, "b": {}, "a": 1}]]}'])
def test_a_duplicate_key_is_found_at_any_depth_in_its_own_row(text: str) -> None:
    assert [row for _, row in rows(f'[{text}, {{"a": 1}}]')] == [DuplicateKey("a"), {"a": 1}]


@settings(max_examples=100)
@given(st.integers(), st.decimals(allow_nan=False, allow_infinity=False))
def test_numbers_stay_exact(expected: int, decimal: Decimal) -> None:
    text = f"[{expected}, {decimal:E}]"
    assert [row for _, row in rows(text)] == [expected, Decimal(f"{decimal:E}")]
