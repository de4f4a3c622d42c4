"""Rows that the database rejects are reported with their position, and nothing is loaded."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cards.models import PresentationRule
from cards.packs.catalogue import card_schema, rule_schema
from cards.packs.errors import BadValue, InvalidPack
from cards.packs.illustrations import Illustrations
from cards.packs.loading import fill_staging
from cards.packs.row_schema import RowReader, RowSchema
from cards.packs.source import open_source
from cards.packs.values import MAX_VALUE_BYTES
from ops.exceptions import OpsError
from ops.json_depth import MAX_JSON_DEPTH
from ops.sql.staging import RejectedRow, StagingTable
from tests.cards.conftest import card, load, refusal

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.engine]

Write = Callable[..., Path]


def unchecked() -> RowSchema:
    """A schema that accepts numbers which are out of the column's range."""
    return replace(rule_schema(), converters={"sort_order": int})


def rule(name: str, order: Any) -> dict[str, Any]:
    return {"rarity": name, "frameColor": "#CCCCCC", "sortOrder": order}


def test_a_rejected_row_is_reported_with_its_number_and_column() -> None:
    rows = [[number, "n", "#CCCCCC", 10**number] for number in range(3, 8)]
    with StagingTable(PresentationRule, ("rarity", "frame_color", "sort_order")) as staging:
        with pytest.raises(RejectedRow) as caught:
            staging.copy_in(rows)
        assert staging.row_count == 0
    assert (caught.value.row_number, str(caught.value).split(":")[0]) == (3, "sort_order")


@pytest.mark.parametrize(
    ("content", "name", "label"),
    [
        ([rule("a", 1), {"sortOrder": 2}, rule("b", 3), rule("c", 10**6)], "r.json", "row [3]"),
        ("rarity;frameColor;sortOrder\n;;\na;#CCCCCC;1\n\nb;x;y;\nc;#CCCCCC;99999\n", "r.csv", "line 6"),
    ],
)
def test_the_position_of_a_rejected_row_is_found(write: Write, content: Any, name: str, label: str) -> None:
    layout = unchecked()
    with (
        pytest.raises(InvalidPack, match="Nothing was loaded") as caught,
        open_source(write(content, name), layout.list_keys) as source,
        fill_staging(source, layout, lambda status: None),
    ):
        raise AssertionError("it was staged")
    assert f"\n  {label}  sort_order: " in str(caught.value)


def test_an_error_of_the_source_is_raised_whatever_its_length() -> None:
    """psycopg would send it to the server, which closes the connection."""

    def rows() -> Any:
        yield [1, "a", "#CCCCCC", 1]
        raise OpsError("x" * 60_000)

    with StagingTable(PresentationRule, ("rarity", "frame_color", "sort_order")) as staging:
        with pytest.raises(OpsError, match=r"^x+$"):
            staging.copy_in(rows())
        staging.copy_in([[1, "a", "#CCCCCC", 1]])
        assert staging.row_count == 1


@pytest.mark.usefixtures("rules")
@pytest.mark.parametrize(
    "depth", [MAX_JSON_DEPTH - 3, MAX_JSON_DEPTH - 2, 900, 985, 990, 993, 996, 5_000, 50_000]
)
def test_nested_json_is_loaded_and_shown_or_refused(write: Write, depth: int) -> None:
    """Reading, writing, the database and the preview each have a limit of their own."""
    flat = json.dumps([{"]": "["}] * MAX_JSON_DEPTH)
    nested = f"{'[' * depth}{flat}{']' * depth}"
    path = write(f'[{{"cardId": "c", "title": "C", "packId": "p", "deep": {nested}}}]')
    if depth + 3 <= MAX_JSON_DEPTH:
        assert "1  would be created" in load(path)
        load(path, "--execute")
        assert load(path).endswith("There is nothing to do.")
        return
    status, message = refusal(path)
    assert status == 1
    assert "metadata is nested more than 500 deep" in message or "Nested too deeply" in message


@pytest.mark.usefixtures("rules")
@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (
            {"description": "x" * (MAX_VALUE_BYTES + 1)},
            "description has 60,000,001 bytes, 60,000,000 at most",
        ),
        (
            {"description": "é" * (MAX_VALUE_BYTES // 2 + 1)},
            "description has 60,000,002 bytes, 60,000,000 at most",
        ),
        ({"note": "x" * MAX_VALUE_BYTES}, "metadata has 60,000,012 bytes, 60,000,000 at most"),
        ({"tags": ["x" * 60] * 1_000_001}, "tags has 60,000,060 bytes, 60,000,000 at most"),
    ],
    ids=["description", "accents", "metadata", "tags"],
)
def test_a_value_too_long_for_an_audit_row_is_a_bad_row(
    tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    with pytest.raises(BadValue) as caught:
        RowReader(card_schema(Illustrations(tmp_path))).read(card(**fields), {})
    assert str(caught.value) == reason
