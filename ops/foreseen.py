"""What can be foreseen of new values: those of the first rows that their columns will refuse."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.db import connection
from django.db.models import Field

from ops.sql.compile import is_json

# Of so many rows the new values are looked at.
LOOKED_AT = 1_000
MADE_LATER = "the new values are made row by row, by process(), when it is executed"
_SIZES = re.compile(r"(char|character varying|numeric)\((\d+)(?:, *(\d+))?\)")
# Why a value is refused; None where it is not.
Refuse = Callable[[Any], str | None]


def refusals(field: Field[Any, Any], labels: Sequence[str], values: Sequence[Any]) -> Iterator[str]:
    """In words, how many of the rows would fail for what the column does not take, a line a reason."""
    refuse = _refusal_of(field)
    found: dict[str, list[str]] = {}
    for label, value in zip(labels, values, strict=True):
        if reason := refuse(value):
            found.setdefault(reason, []).append(label)
    for reason, rows in found.items():
        counted = f"{len(rows):,} of the first {len(labels):,} rows would fail, such as {rows[0]}"
        yield f"{counted}: the new {field.name} {reason}"


def _refusal_of(field: Field[Any, Any]) -> Refuse:
    sized = _SIZES.search(field.db_type(connection) or "")

    def refuse(value: Any) -> str | None:
        if value is None:
            # None may be JSON's own null, which is a value.
            return None if field.null or is_json(field) else "would be NULL, which the column does not take"
        if not sized:
            return None
        if isinstance(value, Decimal):
            return _too_large(value, int(sized[2]), int(sized[3] or 0))
        longest = max(map(_length, value if isinstance(value, list) else [value]), default=0)
        return _too_long(longest, int(sized[2]))

    return refuse


def _length(value: Any) -> int:
    """In characters, without the spaces at its end, which PostgreSQL cuts off where they are too many."""
    return len(value.rstrip(" ")) if isinstance(value, str) else 0


def _too_long(length: int, limit: int) -> str | None:
    return f"is longer than the {limit:,} characters that the column takes" if length > limit else None


def _too_large(value: Decimal, digits: int, places: int) -> str | None:
    if not value.is_finite():
        return None
    rounded = value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    room = digits - places
    return f"has more than the {room} digits before the point" if abs(rounded) >= 10**room else None
