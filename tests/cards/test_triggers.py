"""The rarity triggers, for all kinds of writes."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from cards.models import Card
from ops.sql.dual_write import dual_writes_off
from tests.cards.rarities import (
    CHANGES,
    PAIRS,
    after_insert,
    after_update,
    calls_by_update,
    inserted,
    updated,
)

pytestmark = [pytest.mark.engine, pytest.mark.django_db]

Write = Callable[[Card, dict[str, Any]], None]


def by_save(card: Card, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        setattr(card, name, value)
    card.save()


def by_save_of_fields(card: Card, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        setattr(card, name, value)
    card.save(update_fields=list(changes))


def by_update(card: Card, changes: dict[str, Any]) -> None:
    Card.objects.filter(pk=card.pk).update(**changes)


def by_bulk_update(card: Card, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        setattr(card, name, value)
    Card.objects.bulk_update([card], list(changes))


def by_upsert(card: Card, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        setattr(card, name, value)
    Card.objects.bulk_create(
        [card], update_conflicts=True, unique_fields=["card_id"], update_fields=list(changes)
    )


def by_sql(card: Card, changes: dict[str, Any]) -> None:
    assignments = ", ".join(f"{name} = %s" for name in changes)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE cards SET {assignments} WHERE id = %s", [*changes.values(), card.pk])


WRITERS = [by_save, by_save_of_fields, by_update, by_bulk_update, by_upsert, by_sql]

CASES = {
    "only rarity changes: it is copied across": (("common", "common"), {"rarity": "rare"}, ("rare", "rare")),
    "only rarity_v2 changes: it is copied back": (
        ("common", "common"),
        {"rarity_v2": "rare"},
        ("rare", "rare"),
    ),
    "rarity changes where rarity_v2 was missing": (("common", None), {"rarity": "rare"}, ("rare", "rare")),
    "a backfill fills rarity_v2": (("common", None), {"rarity_v2": "common"}, ("common", "common")),
    "a missing rarity_v2 gets another value": (("common", None), {"rarity_v2": "epic"}, ("epic", "epic")),
    "rarity_v2 becomes NULL: both stay as written": (
        ("common", "common"),
        {"rarity_v2": None},
        ("common", None),
    ),
    "both change alike": (("common", "common"), {"rarity": "rare", "rarity_v2": "rare"}, ("rare", "rare")),
    "both change apart: both stay as written": (
        ("common", "common"),
        {"rarity": "rare", "rarity_v2": "epic"},
        ("rare", "epic"),
    ),
    "rarity changes and rarity_v2 becomes NULL": (
        ("common", "common"),
        {"rarity": "rare", "rarity_v2": None},
        ("rare", None),
    ),
    "rarity changes back onto rarity_v2": (("rare", "common"), {"rarity": "common"}, ("common", "common")),
    "rarity_v2 changes back onto rarity": (("common", "rare"), {"rarity_v2": "common"}, ("common", "common")),
    "rarity changes where the two differ": (("common", "rare"), {"rarity": "epic"}, ("epic", "epic")),
    "nothing changes where the two differ": (("common", "rare"), {"rarity": "common"}, ("common", "rare")),
    "another column changes where rarity_v2 is missing": (("common", None), {"title": "X"}, ("common", None)),
    "another column changes where the two differ": (("common", "rare"), {"title": "X"}, ("common", "rare")),
}


def stored(rarity: str, rarity_v2: str | None) -> Card:
    """Create a card with these two values, with dual writes off."""
    with dual_writes_off():
        card = Card.objects.create(card_id="c", title="C", pack_id="p", rarity=rarity, rarity_v2=rarity_v2)
    return Card.objects.get(pk=card.pk)


def rarities(card: Card) -> tuple[str, str | None]:
    return Card.objects.values_list("rarity", "rarity_v2").get(pk=card.pk)


@pytest.mark.parametrize(
    ("write", "before", "changes", "after"),
    [
        pytest.param(write, *case, id=f"{write.__name__}: {name}")
        for name, case in CASES.items()
        for write in WRITERS
        if write is not by_upsert or None not in case[1].values()
    ],
)
def test_every_kind_of_write_keeps_the_columns_equal(
    write: Write, before: tuple[str, str | None], changes: dict[str, Any], after: tuple[str, str | None]
) -> None:
    card = stored(*before)
    write(card, changes)
    assert rarities(card) == after


def test_the_null_of_an_upserted_row_is_filled_before_it_conflicts() -> None:
    card = stored("common", "common")
    by_upsert(card, {"rarity": "rare", "rarity_v2": None})
    assert rarities(card) == ("rare", "rare")


@pytest.mark.parametrize("write", WRITERS)
def test_dual_writes_can_be_off_for_every_kind_of_write(write: Write) -> None:
    card = stored("common", "common")
    with dual_writes_off():
        write(card, {"rarity": "rare"})
    assert rarities(card) == ("rare", "common")
    write(card, {"rarity": "epic"})
    assert rarities(card) == ("epic", "epic"), "dual writes are on again"


INSERTS = {
    "without rarity_v2": ({"rarity": "rare"}, ("rare", "rare")),
    "without either": ({}, ("common", "common")),
    "with rarity_v2 as NULL": ({"rarity": "rare", "rarity_v2": None}, ("rare", "rare")),
    "with both alike": ({"rarity": "rare", "rarity_v2": "rare"}, ("rare", "rare")),
    "with both apart": ({"rarity": "rare", "rarity_v2": "epic"}, ("rare", "epic")),
}


@pytest.mark.parametrize(("fields", "after"), INSERTS.values(), ids=INSERTS)
@pytest.mark.parametrize("how", ["create", "bulk_create", "sql"])
def test_a_new_row_without_rarity_v2_gets_it(
    how: str, fields: dict[str, Any], after: tuple[str, str | None]
) -> None:
    row = {"card_id": "c", "title": "C", "pack_id": "p", **fields}
    if how == "create":
        Card.objects.create(**row)
    elif how == "bulk_create":
        Card.objects.bulk_create([Card(**row)])
    else:
        names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
        with connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO cards ({names}) VALUES ({marks})", list(row.values()))
    assert rarities(Card.objects.get()) == after


def test_every_update_gives_the_expected_pair() -> None:
    assert updated() == {(old, new): after_update(old, new) for old, new in CHANGES}


def test_only_an_update_that_leaves_the_two_apart_calls_a_function() -> None:
    assert calls_by_update() == sum(rarity is None or rarity != other for _, (rarity, other) in CHANGES)


def test_every_insert_gives_the_expected_pair() -> None:
    assert inserted() == {new: after_insert(new) for new in PAIRS}


def test_with_dual_writes_off_what_is_given_is_stored_as_written() -> None:
    """A new row that leaves out rarity, which may not be NULL, gets one nevertheless."""
    with dual_writes_off():
        assert inserted() == {new: new if new[0] else after_insert(new) for new in PAIRS}
        assert updated() == {(old, new): new for old, new in CHANGES}
