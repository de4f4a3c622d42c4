"""Change sets: cells staged, applied cell by cell, and reverted cell by cell."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied

from cards.models import Card
from ops.change_sets.cells import NOT_SEEN
from ops.change_sets.staging import CellsRefused, NothingToChange
from ops.exceptions import InvalidParams
from ops.models import AuditLog, ChangeSet
from ops.operations import ApplyChangeSet
from ops.states import State
from tests.ops.change_setting import apply, columns, make_card, make_editor, revert, stage
from tests.ops.running import audited_changes, create_run, execute_run, execute_sql
from tests.trials.models import Owner, Sort, Thing

pytestmark = pytest.mark.django_db(transaction=True)


def test_only_the_edited_cells_are_written_and_audited() -> None:
    card, other = make_card(1), make_card(2)
    run = apply(stage(Card, (card, "title", "t", "Águila"), (other, "pack_id", "p", "q")))
    assert run.state == State.SUCCEEDED
    assert audited_changes(run) == {
        str(card.pk): {"title": {"old": "t", "new": "Águila"}},
        str(other.pk): {"pack_id": {"old": "p", "new": "q"}},
    }
    assert columns(card, "title", "pack_id") == ["Águila", "p"]
    assert columns(other, "title", "pack_id") == ["t", "q"]


def test_a_cell_changed_since_it_was_seen_stays_and_the_row_is_written() -> None:
    card = make_card()
    change_set = stage(Card, (card, "title", "t", "mine"), (card, "pack_id", "p", "q"))
    Card.objects.update(title="theirs")
    run = apply(change_set)
    assert columns(card, "title", "pack_id") == ["theirs", "q"]
    assert audited_changes(run) == {str(card.pk): {"pack_id": {"old": "p", "new": "q"}}}


def test_overwriting_writes_whatever_the_cell_holds_and_is_audited_as_such() -> None:
    card = make_card()
    change_set = stage(Card, (card, "title", "t", "mine"))
    Card.objects.update(title="theirs")
    run = apply(change_set, overwrite="on")
    assert columns(card, "title") == ["mine"]
    assert audited_changes(run) == {str(card.pk): {"title": {"old": "theirs", "new": "mine"}}}
    assert AuditLog.objects.get(run=run).metadata == {"overwrite": True}


def test_a_revert_is_judged_cell_by_cell_and_so_is_its_own_revert() -> None:
    card = make_card()
    run = apply(stage(Card, (card, "title", "t", "u"), (card, "pack_id", "p", "q")))
    Card.objects.update(pack_id="theirs")
    first = revert(run)
    assert columns(card, "title", "pack_id") == ["t", "theirs"]
    assert audited_changes(first) == {str(card.pk): {"title": {"old": "u", "new": "t"}}}
    second = revert(first)
    assert columns(card, "title", "pack_id") == ["u", "theirs"]
    assert audited_changes(second) == {str(card.pk): {"title": {"old": "t", "new": "u"}}}


def test_rarity_is_written_in_both_columns_and_reverted_in_both() -> None:
    card = make_card(rarity="common")
    execute_sql("ALTER TABLE cards DISABLE TRIGGER USER")
    try:
        Card.objects.update(rarity_v2=None)
    finally:
        execute_sql("ALTER TABLE cards ENABLE TRIGGER USER")
    change_set = stage(Card, (card, "rarity", "common", "rare"))
    assert change_set.followers == {"rarity_v2": "rarity"}
    run = apply(change_set)
    assert columns(card, "rarity", "rarity_v2") == ["rare", "rare"]
    assert audited_changes(run) == {
        str(card.pk): {
            "rarity": {"old": "common", "new": "rare"},
            "rarity_v2": {"old": None, "new": "rare"},
        }
    }
    revert(run)
    assert columns(card, "rarity", "rarity_v2") == ["common", None]


def test_json_keeps_every_digit_and_equal_numbers_differ_by_their_digits() -> None:
    long = '{"x": 0.12345678901234567890123, "y": 1.10}'
    card = make_card(metadata={"y": 1})
    run = apply(stage(Card, (card, "metadata", '{"y": 1}', long)))
    assert execute_sql("SELECT metadata::text FROM cards") == [(long,)]
    run = apply(stage(Card, (card, "metadata", long, long.replace("1.10", "1.1"))))
    assert execute_sql("SELECT metadata->>'y' FROM cards") == [("1.1",)]
    revert(run)
    assert execute_sql("SELECT metadata::text FROM cards") == [(long,)]


def test_sql_null_and_json_null_stay_distinct() -> None:
    row, other = Sort.objects.create(data={}), Sort.objects.create(data=None)
    run = apply(stage(Sort, (row, "data", "{}", None), (other, "data", None, "null")))
    assert execute_sql("SELECT data::text FROM trials_sort ORDER BY id") == [(None,), ("null",)]
    revert(run)
    assert execute_sql("SELECT data::text FROM trials_sort ORDER BY id") == [("{}",), (None,)]


def test_tags_keep_commas_blanks_and_line_breaks() -> None:
    card = make_card(tags=["a"])
    tags = ["a, b", " c ", 'd\n"e\\', "{}", "NULL"]
    run = apply(stage(Card, (card, "tags", ["a"], tags)))
    assert columns(card, "tags") == [tags]
    revert(run)
    assert columns(card, "tags") == [["a"]]


@pytest.mark.parametrize(
    ("column", "old", "new"),
    [
        ("text", None, "null"),
        ("short", "null", None),
        ("number", 2, "-7"),
        ("price", "1.10", "0.05"),
        ("ratio", 0.1, "0.30000000000000004"),
        ("flag", None, False),
        ("day", "2026-01-31", "1999-12-01"),
        ("moment", "2026-01-31T10:00:00.123456+00:00", "2026-01-31 11:00:00.654321+01:00"),
        ("code", "3f0c1b6e-8d4f-4a7e-9a51-1f2f3c4d5e6f", "3F0C1B6E8D4F4A7E9A511F2F3C4D5E60"),
        ("words", ["a"], None),
    ],
)
def test_a_cell_of_every_type_is_written_and_reverted(column: str, old: Any, new: Any) -> None:
    row = Sort.objects.create(**{column: old})
    before = columns(row, column)
    run = apply(stage(Sort, (row, column, old, new)))
    assert columns(row, column) != before
    assert columns(row, column) == [Sort._meta.get_field(column).to_python(new)]
    revert(run)
    assert columns(row, column) == before


def test_the_value_at_staging_counts_as_seen_where_none_is_given() -> None:
    card = make_card()
    change_set = stage(Card, (card, "title", NOT_SEEN, "new"))
    assert change_set.staged.get().changes == {"title": {"old": "t", "new": "new"}}


def test_all_refused_cells_are_named_and_none_is_kept() -> None:
    thing = Thing.objects.create(name="a")
    with pytest.raises(CellsRefused) as caught:
        stage(
            Thing,
            (thing, "name", "a", "x" * 21),
            (thing, "score", 0, "many"),
            (thing, "note", None, "a\x00b"),
            (thing, "doubled", 0, 1),
            (Thing(pk=999), "name", "a", "b"),
        )
    errors = {(error.key, error.column): error.message for error in caught.value.errors}
    key = str(thing.pk)
    assert set(errors) == {(key, "name"), (key, "score"), (key, "note"), (key, "doubled"), ("999", "")}
    assert "at most 20 characters" in errors[key, "name"]
    assert not ChangeSet.objects.exists()


def test_check_constraints_refuse_cells_in_their_own_words() -> None:
    card = make_card()
    with pytest.raises(CellsRefused) as caught:
        stage(Card, (card, "metadata", "{}", "[1]"))
    [error] = caught.value.errors
    assert (error.key, error.column) == (str(card.pk), "metadata")
    assert error.message.startswith("metadata must be a JSON object")


def test_values_that_other_rows_have_and_keep_are_refused() -> None:
    one, two, three = (make_card(number) for number in (1, 2, 3))
    with pytest.raises(CellsRefused) as caught:
        stage(Card, (one, "card_id", "c1", "c2"), (three, "title", "t", "u"))
    [error] = caught.value.errors
    assert error == (str(one.pk), "card_id", "Another card has this card id.")
    with pytest.raises(CellsRefused) as caught:
        stage(Card, (one, "card_id", "c1", "new"), (two, "card_id", "c2", "new"))
    assert len(caught.value.errors) == 2
    stage(Card, (one, "card_id", "c1", "c2"), (two, "card_id", "c2", "c9"))


def test_a_reference_to_a_missing_row_is_refused() -> None:
    owner = Owner.objects.create(name="o")
    thing = Thing.objects.create(name="a")
    with pytest.raises(CellsRefused) as caught:
        stage(Thing, (thing, "owner", None, owner.pk + 1))
    assert caught.value.errors == [(str(thing.pk), "owner", "There is no such owner.")]
    apply(stage(Thing, (thing, "owner", None, owner.pk)))
    assert columns(thing, "owner") == [owner.pk]


def test_cells_that_are_as_they_were_seen_make_no_change_set() -> None:
    card = make_card()
    with pytest.raises(NothingToChange):
        stage(Card, (card, "title", "t", "t"))
    assert not ChangeSet.objects.exists()


def test_who_may_not_change_the_rows_stages_nothing() -> None:
    user = get_user_model().objects.create_user("eve")
    with pytest.raises(PermissionDenied, match="You may not change cards"):
        stage(Card, (make_card(), "title", "t", "u"), by=user)


@pytest.mark.parametrize("loss", ["permission", "activity", "account"])
def test_a_change_set_of_who_lost_the_permission_is_refused_and_kept(loss: str) -> None:
    card, editor = make_card(), make_editor()
    change_set = stage(Card, (card, "title", "t", "u"), by=editor)
    waiting = create_run(ApplyChangeSet, params={"change_set": change_set.pk})
    if loss == "permission":
        editor.user_permissions.clear()
    elif loss == "activity":
        get_user_model().objects.update(is_active=False)
    else:
        editor.delete()
    with pytest.raises(InvalidParams, match="may not change cards any more"):
        create_run(ApplyChangeSet, params={"change_set": change_set.pk})
    with pytest.raises(InvalidParams, match="may not change cards any more"):
        execute_run(waiting)
    waiting.refresh_from_db()
    assert waiting.state == State.FAILED
    assert columns(card, "title") == ["t"]
    assert change_set.staged.count() == 1
