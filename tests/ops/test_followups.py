"""Runs that begin by themselves on the workers, and the wishes for them that are never lost."""

from threading import Thread
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F, IntegerField, OuterRef, QuerySet, Subquery, TextField
from django.db.models.functions import Cast

from ops.exceptions import InvalidDeclaration
from ops.models import FollowUp, Run
from ops.operations import Operation
from ops.operations.revert import Revert
from ops.operations.validation import validate_operation
from ops.report.run import format_details
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
    execute_run,
    execute_sql,
    make_operation,
    make_row_operation,
    player,
    wait_until,
)
from tests.trials.models import Owner, Thing
from tests.trials.operations import ScoreParams

pytestmark = [
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


def list_followups(by: str = "follower") -> list[Run]:
    return list(Run.objects.filter(operation=by).order_by("pk"))


@pytest.mark.usefixtures("follower")
def test_a_changed_column_starts_a_dependent_run_on_the_workers(
    rescore: type[Operation],
) -> None:
    create_things(3, note="0")
    run = execute_operation(rescore)
    (next_run,) = list_followups()
    assert (next_run.follows, next_run.performed_by, next_run.state) == (run, "tester", State.QUEUED)
    assert next_run.workers
    advance(next_run.pk)
    assert set(Thing.objects.values_list("note", flat=True)) == {"5"}


@pytest.mark.usefixtures("follower")
def test_a_revert_starts_a_dependent_run_too(rescore: type[Operation]) -> None:
    create_things(2, note="0")
    first = execute_operation(rescore)
    advance(list_followups()[0].pk)
    execute_operation(Revert, params={"run": first.pk})
    advance(list_followups()[1].pk)
    assert set(Thing.objects.values_list("note", flat=True)) == {"0"}


@pytest.mark.usefixtures("follower")
def test_the_follow_up_of_a_run_of_few_rows_reads_those_rows(declare: RegisterOperation) -> None:
    rows = create_things(40, note="0", score=5)
    execute_sql("ANALYZE trials_thing")
    Thing.objects.filter(pk=rows[3].pk).update(score=7)
    run = execute_operation(
        declare(make_operation(Thing.objects.filter(score=7), {"score": 8}, name="rescore"))
    )
    (next_run,) = list_followups()
    assert (next_run.total, next_run.scope["changed_by"]) == (1, run.pk)
    advance(next_run.pk)
    assert (audited_changes(next_run).keys(), Thing.objects.filter(note="0").count()) == (
        {str(rows[3].pk)},
        39,
    )


@pytest.mark.usefixtures("follower")
def test_the_follow_up_of_a_run_of_many_rows_reads_the_table(rescore: type[Operation]) -> None:
    create_things(40, note="0")
    execute_sql("ANALYZE trials_thing")
    execute_operation(rescore)
    (next_run,) = list_followups()
    assert (next_run.total, "changed_by" in next_run.scope) == (40, False)


@pytest.mark.usefixtures("follower")
def test_no_follow_up_starts_where_no_row_needs_it(rescore: type[Operation]) -> None:
    create_things(2, note="5")
    execute_operation(rescore)  # the notes say so already
    create_things(2, score=5)
    execute_operation(rescore)  # changed nothing
    assert list_followups() == []


@pytest.mark.usefixtures("follower")
def test_the_end_of_a_run_of_many_rows_reads_the_table_once(rescore: type[Operation]) -> None:
    """It counts what is left, and what needs the follow-up, in one scan."""
    create_things(5000, note="5")
    execute_sql("VACUUM ANALYZE trials_thing")
    run = create_run(rescore)
    before = rows_scanned()
    assert execute_run(run).state == State.SUCCEEDED
    assert (rows_scanned() - before, list_followups()) == (5000, [])


def rows_scanned() -> int:
    """The rows of trials_thing that scans of the whole table have read so far."""
    execute_sql("SELECT pg_stat_force_next_flush()")
    [(read,)] = execute_sql("SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'trials_thing'")
    return int(read)


@pytest.mark.usefixtures("follower")
def test_one_row_among_many_that_needs_the_follow_up_starts_it(rescore: type[Operation]) -> None:
    last = max(str(row.pk) for row in create_things(200, note="5"))
    Thing.objects.filter(pk=last).update(note="0")
    execute_sql("ANALYZE trials_thing")
    execute_operation(rescore)
    (next_run,) = list_followups()
    advance(next_run.pk)
    assert audited_changes(next_run).keys() == {last}


def test_a_follow_up_that_fails_on_a_row_does_not_fail_the_run(
    declare: RegisterOperation, rescore: type[Operation], caplog: pytest.LogCaptureFixture
) -> None:
    """Nor where its rows are counted together with those of the run."""
    rows = Thing.objects.filter(score__lt=Cast("name", IntegerField()))
    declare(make_operation(rows, {"note": "x"}, name="wrong", depends_on=["score"]))
    last = max(str(row.pk) for row in create_things(200))
    Thing.objects.exclude(pk=last).update(name="1")
    execute_sql("ANALYZE trials_thing")
    run = execute_operation(rescore)
    assert (run.state, list_followups("wrong")) == (State.SUCCEEDED, [])
    assert "cannot start the follow-up wrong" in caplog.text


def test_requests_while_columns_are_claimed_are_one_run_at_the_end(
    follower: type[Operation],
) -> None:
    create_things(2)
    holder = create_run(follower)
    for _ in range(3):
        followups.request_followup("follower", "ada")
    assert (len(list_followups()), FollowUp.objects.get().holder) == (1, holder)
    next_line = "  next      follower (requested by ada) starts when this run ends"
    assert next_line in format_details(holder)
    lifecycle.cancel(holder)
    assert not FollowUp.objects.exists()
    _, next_run = list_followups()
    assert (next_run.follows, next_run.performed_by) == (holder, "ada")


def test_a_request_while_the_holder_ends_is_not_lost(follower: type[Operation]) -> None:
    """It waits for the transaction that ends the holder, and then starts the run itself."""
    create_things(2)
    holder = create_run(follower)

    def send_request() -> None:
        try:
            followups.request_followup("follower", "ada")
        finally:
            connection.close()

    request = Thread(target=send_request)
    with player() as other, transaction.atomic():
        other.autocommit = True
        lifecycle.end(holder, State.CANCELLED)
        request.start()
        wait_until(lambda: other.execute(LOCK_WAIT_QUERY).fetchall())
    request.join(timeout=30)
    assert [(run.performed_by, run.state) for run in list_followups()] == [
        ("tester", "cancelled"),
        ("ada", "queued"),
    ]


def test_a_request_for_a_removed_operation_does_not_fail_the_run(
    follower: type[Operation],
) -> None:
    create_things(1)
    holder = create_run(follower)
    FollowUp.objects.create(holder=holder, operation="gone", performed_by="ada")
    lifecycle.cancel(holder)
    assert (holder.state, Run.objects.count()) == (State.CANCELLED, 1)


@pytest.mark.usefixtures("follower")
def test_a_follow_up_that_the_database_rejects_does_not_fail_the_run(
    declare: RegisterOperation, rescore: type[Operation]
) -> None:
    rows = Thing.objects.filter(note__gt=F("score"))  # text and a number
    declare(make_operation(rows, {"note": "x"}, name="wrong", depends_on=["score"]))
    create_things(1)
    assert execute_operation(rescore).state == State.SUCCEEDED
    assert (len(list_followups()), list_followups("wrong")) == (1, [])


@pytest.mark.usefixtures("follower")
def test_a_follow_up_whose_code_raises_does_not_fail_the_run(
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
    assert (len(list_followups()), list_followups("wrong")) == (1, [])


def test_a_request_finds_the_claim_on_a_foreign_keys_column(
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
    ("attributes", "message"),
    [
        ({"depends_on": ["colour"]}, "depends on 'colour', which trials.Thing does not have"),
        ({"depends_on": ["note"]}, "depends on 'note', which it writes"),
        ({"depends_on": ["name"], "Params": ScoreParams}, "the parameter score must not be required"),
    ],
)
def test_a_wrong_depends_on_is_refused(attributes: dict[str, Any], message: str) -> None:
    declared = make_operation(Thing.objects.filter(note=None), {"note": "x"}, **attributes)
    with pytest.raises(InvalidDeclaration, match=message):
        validate_operation(declared({}, None))  # type: ignore[arg-type]


def test_a_row_whose_input_changes_meanwhile_is_left_to_the_follow_up(
    declare: RegisterOperation,
) -> None:
    """It still matches, but not because the declaration would never end."""
    owner = Owner.objects.create(name="old")
    (thing,) = create_things(1, owner=owner)
    owner_name = Subquery(Owner.objects.filter(pk=OuterRef("owner")).values("name"))
    rows = Thing.objects.annotate(owner_name=owner_name).exclude(note=F("owner_name"))

    def process(batch: list[Any]) -> dict[Any, Any]:
        Owner.objects.update(name="new")
        return {row.pk: {"note": row.owner_name} for row in batch}

    run = execute_operation(declare(make_row_operation(rows, process, "note")))
    assert (run.state, audited_changes(run)[str(thing.pk)]["note"]["new"]) == ("succeeded", "old")
