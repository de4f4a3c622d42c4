"""Concurrent people, odd declarations and odd texts that could break the engine, and do not."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from ops.engine import locks, loop
from ops.exceptions import ColumnClaimed, InvalidDeclaration
from ops.models import Run
from ops.operations import registry
from ops.operations.validation import build_operation, fingerprint
from ops.runs import lifecycle
from ops.runs.rebuild import rebuild_operation
from tests.ops.conftest import RegisterOperation
from tests.ops.running import (
    RecordingMonitor,
    audited_changes,
    create_run,
    create_things,
    errors_by_object,
    execute_operation,
    execute_run,
    make_operation,
    make_row_operation,
    player,
)
from tests.trials.models import Owner, Thing

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

MISSING = Thing.objects.filter(note=None)
FILL = make_operation(MISSING, {"note": F("name")})


def test_a_run_cancelled_while_it_processes_writes_nothing_more(declare: RegisterOperation) -> None:
    create_things(5)

    def process(rows: list[Thing]) -> dict[Any, Any]:
        lifecycle.cancel(Run.objects.get())
        return {row.pk: {"note": "late"} for row in rows}

    run = execute_operation(declare(make_row_operation(MISSING, process, "note")))
    assert (run.state, audited_changes(run)) == ("cancelled", {})
    assert not Thing.objects.filter(note="late").exists()


def test_swapped_columns_change_the_fingerprint(declare: RegisterOperation) -> None:
    def declared(old: str, new: str) -> str:
        trial = declare(make_operation(Thing.objects.filter(name=old), {"name": new}))
        return fingerprint(build_operation(trial, {}, timezone.now()))

    assert declared("common", "rare") != declared("rare", "common")


@pytest.mark.parametrize("columns", [("note", "note"), ("owner", "owner_id")])
def test_a_column_named_twice_is_refused(declare: RegisterOperation, columns: tuple[str, str]) -> None:
    with pytest.raises(InvalidDeclaration, match="twice"):
        declare(make_row_operation(MISSING, lambda rows: {}, *columns))


def test_a_foreign_key_is_claimed_by_one_name(declare: RegisterOperation) -> None:
    create_things(1)
    owner = Owner.objects.create(name="o")
    create_run(declare(make_operation(Thing.objects.filter(owner=None), {"owner": owner.pk}, name="by_name")))
    with pytest.raises(ColumnClaimed):
        create_run(
            declare(make_operation(Thing.objects.filter(owner=None), {"owner_id": owner.pk}, name="by_id"))
        )


@pytest.mark.parametrize("message", ["a \x00 byte", "half a \udcff character", ""])
def test_an_error_that_the_database_cannot_store_is_stored_otherwise(
    declare: RegisterOperation, message: str
) -> None:
    rows = create_things(2)
    declared = make_row_operation(
        MISSING, lambda batch: {row.pk: ValueError(message) for row in batch}, "note"
    )
    run = execute_operation(declare(declared))
    assert run.state == "finished_with_failures"
    assert errors_by_object(run).keys() == {str(row.pk) for row in rows}
    assert all(errors_by_object(run).values())


def test_a_row_whose_parent_is_locked_fails_alone(
    declare: RegisterOperation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SKIP LOCKED does not cover the lock that a foreign key takes on its parent."""
    monkeypatch.setattr(locks, "LOCK_TIMEOUT", timedelta(milliseconds=20))
    monkeypatch.setattr(loop, "SWEEP_DELAY", timedelta())
    owner, other_owner = (Owner.objects.create(name=name) for name in "ab")
    locked, *free = create_things(4)
    Thing.objects.filter(pk=locked.pk).update(score=owner.pk)
    Thing.objects.exclude(pk=locked.pk).update(score=other_owner.pk)
    with player() as other:
        other.execute("SELECT FROM trials_owner WHERE id = %s FOR UPDATE", [owner.pk])
        run = execute_operation(
            declare(make_operation(Thing.objects.filter(owner=None), {"owner": F("score")}))
        )
    assert run.state == "finished_with_failures"
    assert errors_by_object(run).keys() == {str(locked.pk)}
    assert audited_changes(run).keys() == {str(row.pk) for row in free}


def test_a_paused_revert_has_no_conflicts(declare: RegisterOperation) -> None:
    create_things(6)
    run = execute_operation(declare(FILL))
    revert = create_run(registry.get_operation("revert"), params={"run": run.pk}, batch_size=2)
    execute_run(revert, RecordingMonitor(lambda number: lifecycle.pause(Run.objects.get(pk=revert.pk))))
    assert revert.state == "paused"
    assert list(rebuild_operation(revert).get_notes(revert)) == []


def test_a_conflict_is_named_when_the_revert_has_ended(declare: RegisterOperation) -> None:
    row, *_ = create_things(3)
    run = execute_operation(declare(FILL))
    Thing.objects.filter(pk=row.pk).update(note="mine")
    revert = execute_operation(registry.get_operation("revert"), params={"run": run.pk})
    [note] = rebuild_operation(revert).get_notes(revert)
    assert note == f"1 thing was changed or deleted after run {run.pk}, so it was not reverted: {row.pk}"


def test_a_run_over_an_empty_table_stays_within_its_bounds(declare: RegisterOperation) -> None:
    run = create_run(declare(FILL))
    create_things(3)
    assert (execute_run(run).state, audited_changes(run)) == ("succeeded", {})
