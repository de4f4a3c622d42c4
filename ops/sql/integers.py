"""Integers of a wide type in a column of a narrower one."""

from __future__ import annotations

# The first number that is too large.
SIZES = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}


def max_integer(kind: str) -> int:
    """Return the greatest value of smallint, integer or bigint."""
    return SIZES[kind] - 1


def is_wider(kind: str, other: str) -> bool:
    """Whether both are types of integers, and the first has more values."""
    return SIZES.get(kind, 0) > SIZES.get(other, SIZES["bigint"])


def narrowing_template(kind: str) -> str:
    """Return the SQL of ``{new}`` as the narrower type; NULL where it does not fit."""
    size = SIZES[kind]
    return f"CASE WHEN {{new}} BETWEEN {-size} AND {size - 1} THEN ({{new}})::{kind} END"
