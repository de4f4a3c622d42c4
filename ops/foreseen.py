"""What can be foreseen of new values: those of the first rows that their columns will refuse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Field, QuerySet

from ops.operation import Operation
from ops.sql.compile import fields_of
from ops.sql.refusals import refused, size_of

# Of so many rows the new values are looked at.
LOOKED_AT = 1_000
MADE_LATER = "the new values are made row by row, by process(), when it is executed"


def refusals(rows: QuerySet[Any], operation: Operation) -> Iterator[str]:
    """In words, how many of the first rows would fail, a line for each column and reason."""
    found = refused(rows[:LOOKED_AT], operation, operation.label)
    for field in fields_of(operation):
        reasons = [(why[field.name], label) for label, why in found if field.name in why]
        for reason in dict.fromkeys(reason for reason, _ in reasons):
            named = [label for other, label in reasons if other == reason]
            counted = f"{len(named):,} of the first {len(found):,} rows would fail, such as {named[0]}"
            yield f"{counted}: the new {field.name} {_WORDS[reason](field)}"


def _too_long(field: Field[Any, Any]) -> str:
    return f"is longer than the {size_of(field)[0]:,} characters that the column takes"


def _too_large(field: Field[Any, Any]) -> str:
    size, places = size_of(field)
    return f"has more than the {size - places} digits before the point"


def _null(field: Field[Any, Any]) -> str:
    return "would be NULL, which the column does not take"


_WORDS = {"null": _null, "long": _too_long, "large": _too_large}
