"""Runs that begin by themselves on the workers, and the wishes for them that are never lost."""

from threading import Thread
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F, OuterRef, QuerySet, Subquery, TextField
from django.db.models.functions import Cast

from ops.exceptions import InvalidDeclaration
from ops.models import FollowUp, Run
from ops.operations import Operation
from ops.operations.revert import Revert
from ops.operations.validation import validate_operation
from ops.runs import followups, lifecycle
from ops.states import State
from ops.workers.jobs import advance
from tests.ops.conftest import RegisterOperation
from tests.ops.running import (
    LOCK_WAIT_QUERY,
    audited_changes,
    create_run,
    create_things,
    execute_operation,
    execute_sql,
    make_operation,
    make_row_operation,
    player,
    wait_until,
)
from tests.trials.models import Owner, Thing
from tests.trials.operations import ScoreParams

pytestmark = [
    pytest.mark.engine,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_server"),
]


@pytest.fixture
def follower(declare: RegisterOperation) -> type[Operation]:
    """Writes the note of things whose note is not their score, whenever a score has changed."""
    score = Cast("score", TextField())
    rows = Thing.objects.exclude(note=score)
    return declare(make_operation(rows, {"note": score}, name="follower", depends_on=["score"]))


@pytest.fixture
def rescore(declare: RegisterOperation) -> type[Operation]:
    return declare(make_operation(Thing.objects.exclude(score=5), {"score": 5}, name="rescore"))


def begun(by: str = "follower") -> list[Run]:
    return list(Run.objects.filter(operation=by).order_by("pk"))


@pytest.mark.usefixtures("follower")
def test_a_run_that_changed_what_an_operation_follows_is_followed_on_the_workers(
    rescore: type[Operation],
) -> None:
    create_things(3, note="0")
    run = execute_operation(rescore)
    (next_run,) = begun()
    assert (next_run.follows, next_run.performed_by, next_run.state) == (run, "tester", State.QUEUED)
    assert next_run.workers
    advance(next_run.pk)
    assert set(Thing.objects.values_list("note", flat=True)) == {"5"}


@pytest.mark.usefixtures("follower")
def test_so_is_its_revert(rescore: type[Operation]) -> None:
    create_things(2, note="0")
    first = execute_operation(rescore)
    advance(begun()[0].pk)
    execute_operation(Revert, params={"run": first.pk})
    advance(begun()[1].pk)
    assert set(Thing.objects.values_list("note", flat=True)) == {"0"}


@pytest.mark.usefixtures("follower")
def test_what_follows_a_run_of_few_rows_looks_at_those_rows(declare: RegisterOperation) -> None:
    rows = create_things(40, note="0", score=5)
    execute_sql("ANALYZE trials_thing")
    Thing.objects.filter(pk=rows[3].pk).update(score=7)
    run = execute_operation(
        declare(make_operation(Thing.objects.filter(score=7), {"score": 8}, name="rescore"))
    )
    (next_run,) = begun()
    assert (next_run.total, next_run.scope["changed_by"]) == (1, run.pk)
    advance(next_run.pk)
    assert (audited_changes(next_run).keys(), Thing.objects.filter(note="0").count()) == (
        {str(rows[3].pk)},
        39,
    )


@pytest.mark.usefixtures("follower")
def test_what_follows_a_run_of_many_rows_looks_at_the_table(rescore: type[Operation]) -> None:
    create_things(40, note="0")
    execute_sql("ANALYZE trials_thing")
    execute_operation(rescore)
    (next_run,) = begun()
    assert (next_run.total, "changed_by" in next_run.scope) == (40, False)


@pytest.mark.usefixtures("follower")
def test_a_run_that_left_nothing_to_do_is_not_followed(rescore: type[Operation]) -> None:
    create_things(2, note="5")
    execute_operation(rescore)  # the notes say so already
    create_things(2, score=5)
    execute_operation(rescore)  # changed nothing
    assert begun() == []


def test_wishes_that_come_while_the_columns_are_held_are_one_and_come_true_at_the_end(
    follower: type[Operation],
) -> None:
    create_things(2)
    holder = create_run(follower)
    for _ in range(3):
        followups.request_followup("follower", "ada")
    assert (len(begun()), FollowUp.objects.get().holder) == (1, holder)
    lifecycle.cancel(holder)
    assert not FollowUp.objects.exists()
    _, next_run = begun()
    assert (next_run.follows, next_run.performed_by) == (holder, "ada")


def test_a_wish_that_meets_the_end_of_the_holder_is_not_lost(follower: type[Operation]) -> None:
    """It waits for the transaction that ends the holder, and then begins the run itself."""
    create_things(2)
    holder = create_run(follower)

    def ask() -> None:
        try:
            followups.request_followup("follower", "ada")
        finally:
            connection.close()

    asking = Thread(target=ask)
    with player() as other, transaction.atomic():
        other.autocommit = True
        lifecycle.end(holder, State.CANCELLED)
        asking.start()
        wait_until(lambda: other.execute(LOCK_WAIT_QUERY).fetchall())
    asking.join(timeout=30)
    assert [(run.performed_by, run.state) for run in begun()] == [("tester", "cancelled"), ("ada", "queued")]


def test_a_wish_for_an_operation_that_is_gone_does_not_keep_the_run_from_ending(
    follower: type[Operation],
) -> None:
    create_things(1)
    holder = create_run(follower)
    FollowUp.objects.create(holder=holder, operation="gone", performed_by="ada")
    lifecycle.cancel(holder)
    assert (holder.state, Run.objects.count()) == (State.CANCELLED, 1)


@pytest.mark.usefixtures("follower")
def test_a_follower_that_the_database_refuses_does_not_keep_the_run_from_ending(
    declare: RegisterOperation, rescore: type[Operation]
) -> None:
    rows = Thing.objects.filter(note__gt=F("score"))  # text and a number
    declare(make_operation(rows, {"note": "x"}, name="wrong", depends_on=["score"]))
    create_things(1)
    assert execute_operation(rescore).state == State.SUCCEEDED
    assert (len(begun()), begun("wrong")) == (1, [])


@pytest.mark.usefixtures("follower")
def test_a_follower_whose_own_code_fails_does_not_keep_the_run_from_ending(
    declare: RegisterOperation, rescore: type[Operation]
) -> None:
    fails = []

    def rows() -> QuerySet[Thing]:
        if fails:
            raise KeyError("a setting that is not there")
        return Thing.objects.exclude(note="x")

    declare(make_operation(rows, {"note": "x"}, name="wrong", depends_on=["score"]))
    create_things(1)
    fails.append(True)
    assert execute_operation(rescore).state == State.SUCCEEDED
    assert (len(begun()), begun("wrong")) == (1, [])


def test_a_wish_finds_its_holder_also_where_a_foreign_key_is_named_by_its_column(
    declare: RegisterOperation,
) -> None:
    owner = Owner.objects.create(name="new")
    create_things(1)
    holder = create_run(
        declare(make_operation(Thing.objects.exclude(owner=owner), {"owner": owner.pk}, name="one"))
    )
    declare(make_operation(Thing.objects.exclude(owner=owner), {"owner_id": owner.pk}, name="two"))
    followups.request_followup("two", "ada")
    assert FollowUp.objects.get().holder == holder


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ({"depends_on": ["colour"]}, "depends on 'colour', which trials.Thing does not have"),
        ({"depends_on": ["note"]}, "depends on 'note', which it writes"),
        ({"depends_on": ["name"], "Params": ScoreParams}, "the parameter score must not be required"),
    ],
)
def test_what_cannot_follow_is_refused_when_it_is_declared(attributes: dict[str, Any], told: str) -> None:
    declared = make_operation(Thing.objects.filter(note=None), {"note": "x"}, **attributes)
    with pytest.raises(InvalidDeclaration, match=told):
        validate_operation(declared({}, None))  # type: ignore[arg-type]


def test_a_row_whose_inputs_changed_while_it_was_processed_is_left_to_the_run_that_follows(
    declare: RegisterOperation,
) -> None:
    """It still matches, but not because the declaration would never end."""
    owner = Owner.objects.create(name="old")
    (thing,) = create_things(1, owner=owner)
    wanted = Subquery(Owner.objects.filter(pk=OuterRef("owner")).values("name"))
    rows = Thing.objects.annotate(wanted=wanted).exclude(note=F("wanted"))

    def process(found: list[Any]) -> dict[Any, Any]:
        Owner.objects.update(name="new")
        return {row.pk: {"note": row.wanted} for row in found}

    run = execute_operation(declare(make_row_operation(rows, process, "note")))
    assert (run.state, audited_changes(run)[str(thing.pk)]["note"]["new"]) == ("succeeded", "old")
