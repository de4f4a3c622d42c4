"""What concurrent people, odd declarations and odd words could break, and do not."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from ops import registry, runs
from ops.declaration import build, fingerprint
from ops.engine import locks, work
from ops.exceptions import ColumnClaimed, InvalidDeclaration
from ops.models import Run
from tests.ops.conftest import Declare
from tests.ops.running import (
    Watched,
    audited,
    create,
    execute,
    failures,
    go,
    operation,
    per_row,
    player,
    things,
)
from tests.trials.models import Owner, Thing

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

MISSING = Thing.objects.filter(note=None)
FILL = operation(MISSING, {"note": F("name")})


def test_a_run_cancelled_while_it_processes_writes_nothing_more(declare: Declare) -> None:
    things(5)

    def process(rows: list[Thing]) -> dict[Any, Any]:
        runs.cancel(Run.objects.get())
        return {row.pk: {"note": "late"} for row in rows}

    run = execute(declare(per_row(MISSING, process, "note")))
    assert (run.state, audited(run)) == ("cancelled", {})
    assert not Thing.objects.filter(note="late").exists()


def test_a_declaration_turned_round_is_another_one(declare: Declare) -> None:
    def declared(old: str, new: str) -> str:
        trial = declare(operation(Thing.objects.filter(name=old), {"name": new}))
        return fingerprint(build(trial, {}, timezone.now()))

    assert declared("common", "rare") != declared("rare", "common")


@pytest.mark.parametrize("columns", [("note", "note"), ("owner", "owner_id")])
def test_a_column_named_twice_is_refused(declare: Declare, columns: tuple[str, str]) -> None:
    with pytest.raises(InvalidDeclaration, match="twice"):
        declare(per_row(MISSING, lambda rows: {}, *columns))


def test_a_foreign_key_is_claimed_by_one_name_whatever_it_is_called(declare: Declare) -> None:
    things(1)
    owner = Owner.objects.create(name="o")
    create(declare(operation(Thing.objects.filter(owner=None), {"owner": owner.pk}, name="by_name")))
    with pytest.raises(ColumnClaimed):
        create(declare(operation(Thing.objects.filter(owner=None), {"owner_id": owner.pk}, name="by_id")))


@pytest.mark.parametrize("words", ["a \x00 byte", "half a \udcff character", ""])
def test_a_reason_that_the_database_cannot_store_is_stored_in_other_words(
    declare: Declare, words: str
) -> None:
    rows = things(2)
    declared = per_row(MISSING, lambda found: {row.pk: ValueError(words) for row in found}, "note")
    run = execute(declare(declared))
    assert run.state == "finished_with_failures"
    assert failures(run).keys() == {str(row.pk) for row in rows}
    assert all(failures(run).values())


def test_a_row_whose_parent_is_held_is_set_aside_alone_and_named(
    declare: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SKIP LOCKED does not cover the lock that a foreign key takes on its parent."""
    monkeypatch.setattr(locks, "LOCK_TIMEOUT", timedelta(milliseconds=20))
    monkeypatch.setattr(work, "SWEEP_PAUSE", timedelta())
    owner, other_owner = (Owner.objects.create(name=name) for name in "ab")
    held, *free = things(4)
    Thing.objects.filter(pk=held.pk).update(score=owner.pk)
    Thing.objects.exclude(pk=held.pk).update(score=other_owner.pk)
    with player() as other:
        other.execute("SELECT FROM trials_owner WHERE id = %s FOR UPDATE", [owner.pk])
        run = execute(declare(operation(Thing.objects.filter(owner=None), {"owner": F("score")})))
    assert run.state == "finished_with_failures"
    assert failures(run).keys() == {str(held.pk)}
    assert audited(run).keys() == {str(row.pk) for row in free}


def test_a_paused_revert_calls_nothing_a_conflict(declare: Declare) -> None:
    things(6)
    run = execute(declare(FILL))
    revert = create(registry.get("revert"), params={"run": run.pk}, batch_size=2)
    go(revert, Watched(lambda number: runs.pause(Run.objects.get(pk=revert.pk))))
    assert revert.state == "paused"
    assert list(runs.operation_of(revert).get_remarks(revert)) == []


def test_a_conflict_is_told_by_name_once_the_revert_has_ended(declare: Declare) -> None:
    row, *_ = things(3)
    run = execute(declare(FILL))
    Thing.objects.filter(pk=row.pk).update(note="mine")
    revert = execute(registry.get("revert"), params={"run": run.pk})
    [told] = runs.operation_of(revert).get_remarks(revert)
    assert told == f"1 thing changed since run {run.pk}, left alone, such as {row.pk}"


def test_a_run_over_an_empty_table_stays_within_its_bounds(declare: Declare) -> None:
    run = create(declare(FILL))
    things(3)
    assert (go(run).state, audited(run)) == ("succeeded", {})
