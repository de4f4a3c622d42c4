"""A preview tells what a run would do, and can do nothing itself."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import InternalError
from django.db.models import BooleanField, F, Func, Value
from django.db.models.functions import Concat

from ops.creation import Request
from ops.exceptions import InvalidParams
from ops.models import AuditLog, Claim, Run
from ops.preview import Sample, preview
from tests.ops.conftest import Declare
from tests.ops.running import create, execute, go, operation, per_row, sql, things
from tests.trials.models import Thing
from tests.trials.operations import SetScore

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

MISSING = Thing.objects.filter(note=None)
TOLD = {"breakdown": "score", "label": "name"}
FILL = operation(MISSING, {"note": Concat("name", Value("!")), "score": F("score") + 1}, **TOLD)


def test_it_counts_breaks_down_and_samples(declare: Declare) -> None:
    things(3, score=1), things(6, score=2), things(1, score=0), things(5, note="x")
    seen = preview(Request(declare(FILL), "me"))
    assert (seen.total, seen.breakdown) == (10, [(2, 6), (1, 3), (0, 1)])
    assert seen.samples[:2] == [
        Sample("t1", {"note": (None, "t1!"), "score": (1, 2)}),
        Sample("t2", {"note": (None, "t2!"), "score": (1, 2)}),
    ]
    assert len(seen.samples) == 5


def test_it_tells_only_the_old_values_where_python_makes_the_new_ones(declare: Declare) -> None:
    things(1, score=3)
    calls: list[Any] = []
    seen = preview(Request(declare(per_row(MISSING, calls.append, "note", "score", **TOLD)), "me"))
    assert seen.samples == [Sample("t1", {"note": (None,), "score": (3,)})]
    assert calls == []


def test_it_counts_without_a_breakdown_and_names_rows_by_their_key(declare: Declare) -> None:
    (row,) = things(1)
    seen = preview(Request(declare(operation(MISSING, {"note": F("name")})), "me"))
    assert (seen.total, seen.breakdown, seen.samples[0].label) == (1, [], str(row.pk))


def test_nothing_to_do_is_told_as_such(declare: Declare) -> None:
    seen = preview(Request(declare(FILL), "me"))
    assert (seen.total, seen.breakdown, seen.samples, seen.duration) == (0, [], [], timedelta())


def test_it_leaves_no_trace(declare: Declare) -> None:
    things(3)
    preview(Request(declare(FILL), "me"))
    assert [model for model in (Run, Claim, AuditLog) if model.objects.exists()] == []
    assert Thing.objects.filter(note=None, score=0).count() == 3


def test_a_run_promises_what_its_preview_said(declare: Declare) -> None:
    things(7)
    seen = preview(Request(declare(FILL), "me"))
    run = execute(FILL)
    assert seen.total == run.total == AuditLog.objects.filter(run=run).count()


@pytest.fixture
def meddling(transactional_db: None) -> Iterator[None]:
    """A function with a side effect, for a queryset to call."""
    sql(
        "CREATE FUNCTION trial_meddle(bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN"
        " UPDATE trials_thing SET note = 'meddled'; RETURN true; END $$"
    )
    yield
    sql("DROP FUNCTION trial_meddle")


@pytest.mark.usefixtures("meddling")
@pytest.mark.parametrize("locks", [False, True])
def test_a_queryset_that_writes_is_refused_by_the_database(declare: Declare, locks: bool) -> None:
    things(2)
    meddles = Func(F("id"), function="trial_meddle", output_field=BooleanField())
    rows = Thing.objects.annotate(done=meddles).filter(done=True)
    with pytest.raises(InternalError, match="read-only transaction"):
        preview(Request(declare(operation(rows, {"note": "x"})), "me"))
    assert not Thing.objects.filter(note="meddled").exists()
    Thing.objects.create(name="writes again")


def test_wrong_parameters_are_refused(declare: Declare) -> None:
    with pytest.raises(InvalidParams, match="score: Ensure this value is less than or equal to 2000"):
        preview(Request(SetScore, "me", params={"score": "9999"}))
    with pytest.raises(InvalidParams, match="shoe: there is no such parameter"):
        preview(Request(SetScore, "me", params={"score": "1", "shoe": "x"}))


def test_the_rate_is_learnt_from_the_newest_run_of_the_operation(declare: Declare) -> None:
    things(1000)
    declare(FILL)
    assert (preview(Request(FILL, "me")).learnt_from, preview(Request(FILL, "me")).rate) == (None, 10_000)
    run = execute(FILL)
    execute(FILL)  # found nothing, so taught nothing, as one of a few rows would
    Run.objects.filter(pk=run.pk).update(worked=timedelta(seconds=2))
    things(6)
    seen = preview(Request(FILL, "me"))
    assert (seen.learnt_from, seen.rate, seen.duration) == (run.pk, 500.0, timedelta(seconds=6 / 500))


def test_a_run_that_is_under_way_does_not_hinder_it(declare: Declare) -> None:
    things(3)
    run = create(declare(FILL))
    assert preview(Request(FILL, "me")).total == 3
    go(run)
