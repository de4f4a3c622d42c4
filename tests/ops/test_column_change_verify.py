"""Verify fails for rows that differ, and only names those that the old column cannot express."""

from typing import Any

import pytest
from django.db.models import Case, F, Value, When

from ops.column_changes import ColumnChange
from ops.column_changes.taking.verification import verify_change
from ops.report.column_change_steps import format_notes
from tests.trials.models import Thing

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

ROWS = {"agrees": ("a", "x"), "differs": ("a", "y"), "foreign": ("a", "z"), "empty": ("a", None)}


def change(**attributes: Any) -> type[ColumnChange]:
    values = {"name": "trial", "model": Thing, "old": "name", "new": "note", "display_field": "score"}
    return type("Change", (ColumnChange,), {**values, **attributes})


def verify(**attributes: Any) -> tuple[list[int], list[tuple[int, list[str]]]]:
    """Return how many rows fail the checks, and the rows that are only told; a row is named by its score."""
    Thing.objects.bulk_create(
        Thing(name=old, note=new, score=number) for number, (old, new) in enumerate(ROWS.values())
    )
    checks, notes = verify_change(change(**attributes))
    return [check["found"] for check in checks], [(note["found"], note["sample"]) for note in notes]


MAPPING = {"mapping": {"a": "x", "b": "y"}}
ONE_WAY = {
    "get_new_value": lambda self: Case(When(name="a", then=Value("x")), default=F("name")),
    "get_old_value": lambda self: None,
}


def test_a_value_that_has_no_old_one_fails_where_it_is_refused() -> None:
    assert verify(**MAPPING) == ([1, 2], [])


def test_a_value_that_has_no_old_one_is_told_where_the_old_one_is_kept() -> None:
    assert verify(**MAPPING, unmappable="keep") == ([1, 1], [(1, ["2"])])


def test_without_a_way_back_every_other_value_differs_where_it_is_refused() -> None:
    assert verify(**ONE_WAY) == ([1, 2], [])


def test_without_a_way_back_every_other_value_is_told_where_it_is_kept() -> None:
    assert verify(**ONE_WAY, unmappable="keep") == ([1, 0], [(2, ["1", "2"])])


def test_what_is_told_is_a_line_if_there_are_such_rows() -> None:
    notes = [{"label": "rows", "found": 2, "sample": ["1", "2"]}, {"label": "none", "found": 0, "sample": []}]
    assert format_notes(notes) == ["  note    rows: 2, such as 1, 2"]
