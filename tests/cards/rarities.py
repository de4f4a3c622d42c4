"""All pairs of rarity and rarity_v2, including NULL, and the expected and actual results of the triggers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

Pair = tuple[str | None, str | None]

_VALUES = ("common", "rare", "epic", None)
PAIRS: list[Pair] = list(product(_VALUES, _VALUES))
CHANGES: list[tuple[Pair, Pair]] = list(product(PAIRS, PAIRS))

_ROWS = "unnest(%s::int[], %s::text[], %s::text[]) AS given(n, rarity, rarity_v2)"
_INSERT = f"""
INSERT INTO cards (card_id, title, pack_id, rarity, rarity_v2)
SELECT n, 'C', 'p', rarity, rarity_v2 FROM {_ROWS}
"""
_UPDATE = f"""
UPDATE cards SET rarity = given.rarity, rarity_v2 = given.rarity_v2 FROM {_ROWS} WHERE card_id = n::text
"""


def after_insert(new: Pair) -> Pair:
    """Return the expected pair: a column that is not given is filled from the other, or by the default."""
    rarity, rarity_v2 = new
    filled = rarity or rarity_v2 or "common"
    return filled, rarity_v2 or filled


def after_update(old: Pair, new: Pair) -> Pair:
    """Return the expected pair: a change of one column changes both, except rarity_v2 to NULL.

    ``SET rarity = DEFAULT`` is NULL at first, since the triggers have the default.
    """
    rarity, rarity_v2 = new[0] or "common", new[1]
    match rarity != old[0], rarity_v2 != old[1]:
        case True, False:
            return rarity, rarity
        case False, True if rarity_v2 is not None:
            return rarity_v2, rarity_v2
    return rarity, rarity_v2


def inserted() -> dict[Pair, Pair]:
    """Return the stored pair after the insert of each pair."""
    with _no_cards() as cursor:
        cursor.execute(_INSERT, _columns(PAIRS))
        return dict(zip(PAIRS, _stored(cursor), strict=True))


def updated() -> dict[tuple[Pair, Pair], Pair]:
    """Return the stored pair after each update from one pair to another."""
    with _cards_to_update() as cursor:
        cursor.execute(_UPDATE, _columns([new for _, new in CHANGES]))
        return dict(zip(CHANGES, _stored(cursor), strict=True))


def calls_by_update() -> int:
    """Return the number of calls of the trigger function for a row during ``updated``."""
    with _cards_to_update() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {_UPDATE}", _columns([new for _, new in CHANGES]))
        [[plan]] = cursor.fetchone()
        calls = {trigger["Trigger Name"]: trigger["Calls"] for trigger in plan["Triggers"]}
        return int(calls["dual_write_rarity_v2_update"])


@contextmanager
def _no_cards() -> Iterator[CursorWrapper]:
    """Empty the catalogue and allow NULL rarities, within a transaction that is rolled back."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE cards ALTER rarity DROP NOT NULL")
        yield cursor
        transaction.set_rollback(True)


@contextmanager
def _cards_to_update() -> Iterator[CursorWrapper]:
    with _no_cards() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # no trigger, of any migration
        cursor.execute(_INSERT, _columns([old for old, _ in CHANGES]))
        cursor.execute("SET LOCAL session_replication_role = origin")
        yield cursor


def _columns(rows: Sequence[Pair]) -> list[Sequence[Any]]:
    return [list(range(len(rows))), *map(list, zip(*rows, strict=True))]


def _stored(cursor: CursorWrapper) -> list[Pair]:
    cursor.execute("SELECT rarity, rarity_v2 FROM cards ORDER BY card_id::int")
    return cursor.fetchall()
