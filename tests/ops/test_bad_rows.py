"""Rows at fault are set aside with their error; what is no row's fault fails the run, which can go on."""

from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from ops import runs
from ops.exceptions import NoneSucceeds, TooManyFailures
from tests.ops.conftest import Declare
from tests.ops.running import (
    Watched,
    audited,
    create,
    execute,
    failures,
    go,
    keys,
    operation,
    per_row,
    sql,
    things,
)
from tests.trials.models import Sort, Thing

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

MISSING = Thing.objects.filter(note=None)
FILL = operation(MISSING, {"note": F("name"), "score": F("score") + 500})
FILL_EACH = per_row(
    MISSING, lambda rows: {r.pk: {"note": r.name, "score": r.score + 500} for r in rows}, "note", "score"
)
BOTH = pytest.mark.parametrize("declared", [FILL, FILL_EACH], ids=["changes", "process"])
REFUSE = "IF NEW.name IN ('t3', 't33') THEN RAISE EXCEPTION '% is refused', NEW.name; END IF; RETURN NEW;"


@BOTH
@pytest.mark.parametrize("batch_size", [None, 1, 7])
def test_rows_that_break_a_constraint_fail_alone(
    declare: Declare, declared: Any, batch_size: int | None
) -> None:
    rows = things(40)
    bad = [rows[0], rows[1], rows[20], rows[39]]
    Thing.objects.filter(pk__in=[row.pk for row in bad]).update(score=600)
    run = execute(declare(declared), batch_size=batch_size)
    assert run.state == "finished_with_failures"
    assert failures(run).keys() == keys(bad)
    assert all("trials_thing_score_small" in error for error in failures(run).values())
    assert audited(run).keys() == keys(rows) - keys(bad)
    assert sorted(Thing.objects.filter(note=None).values_list("pk", flat=True)) == [row.pk for row in bad]
    assert run.lanes.get().failed == 4


@BOTH
def test_what_a_trigger_raises_fails_its_row(declare: Declare, trigger: Any, declared: Any) -> None:
    rows = things(40)
    trigger("trials_thing", REFUSE)
    run = execute(declare(declared))
    assert {key: error.splitlines()[0] for key, error in failures(run).items()} == {
        str(rows[2].pk): "t3 is refused",
        str(rows[32].pk): "t33 is refused",
    }
    assert len(audited(run)) == 38


def test_the_row_that_postgresql_says_breaks_a_check_is_tried_at_once(declare: Declare) -> None:
    rows = things(200)
    Thing.objects.filter(pk=rows[150].pk).update(score=600)
    with CaptureQueriesContext(connection) as told:
        run = execute(declare(FILL), batch_size=200)
    assert (failures(run).keys(), len(audited(run))) == (keys([rows[150]]), 199)
    tries = [query for query in told.captured_queries if "audited AS" in query["sql"]]
    assert len(tries) == 4, "the batch, what lies before the row, the row, what lies after it"


@BOTH
@pytest.mark.parametrize("said", [0, 10, 11, 30, "no key"])
def test_a_row_that_is_said_to_be_at_fault_and_is_not_is_not_set_aside(
    declare: Declare, trigger: Any, declared: Any, said: Any
) -> None:
    rows = things(40)
    told = rows[said].pk if isinstance(said, int) else said
    trigger(
        "trials_thing",
        f"""IF NEW.name IN ('t12', 't21') THEN
            RAISE 'refused' USING ERRCODE = 'check_violation', DETAIL = 'Failing row contains ({told}, x).';
        END IF; RETURN NEW;""",
    )
    run = execute(declare(declared), batch_size=40)
    assert failures(run).keys() == keys([rows[11], rows[20]])
    assert audited(run).keys() == keys(rows) - failures(run).keys()


@BOTH
def test_every_row_may_fail(declare: Declare, declared: Any) -> None:
    rows = things(5, score=600)
    run = execute(declare(declared))
    assert (run.state, failures(run).keys(), audited(run)) == ("finished_with_failures", keys(rows), {})


def test_a_deferred_foreign_key_fails_its_row_and_not_the_commit(declare: Declare) -> None:
    good, bad = Sort.objects.create(), Sort.objects.create()
    owner = sql("INSERT INTO trials_owner (id, name) VALUES (%s, 'x') RETURNING id", good.pk)
    run = execute(declare(operation(Sort.objects.filter(owner=None), {"owner": F("pk")})))
    assert owner == [(good.pk,)]
    assert (list(audited(run)), list(failures(run))) == ([str(good.pk)], [str(bad.pk)])
    assert "violates foreign key constraint" in failures(run)[str(bad.pk)]


@BOTH
def test_failed_rows_are_tried_again_once_mended(declare: Declare, declared: Any) -> None:
    rows = things(30)
    Thing.objects.filter(pk__in=[rows[3].pk, rows[9].pk]).update(score=600)
    run = execute(declare(declared))
    assert len(failures(run)) == 2
    Thing.objects.filter(pk=rows[3].pk).update(score=1)
    runs.requeue(run)
    assert (run.state, len(failures(run)), run.lanes.get().failed) == ("queued", 2, 0)
    go(run)
    assert (run.state, failures(run).keys()) == ("finished_with_failures", {str(rows[9].pk)})
    Thing.objects.filter(pk=rows[9].pk).update(score=1)
    runs.requeue(run)
    assert go(run).state == "succeeded"
    assert audited(run).keys() == keys(rows)
    assert run.lanes.get().changed == 30


def test_failures_of_a_run_paused_in_its_last_sweep_are_not_forgotten(declare: Declare) -> None:
    rows = things(3)
    Thing.objects.filter(pk=rows[0].pk).update(score=600)
    run = create(declare(FILL))
    type(run).objects.update(sweep=6)
    go(run, Watched(lambda number: failures(run) and run.state == "running" and runs.pause(run)))
    assert run.state == "paused"
    runs.requeue(run)
    assert go(run).state == "finished_with_failures"
    assert failures(run).keys() == {str(rows[0].pk)}


@BOTH
def test_a_run_on_which_the_first_hundred_rows_fail_is_stopped(declare: Declare, declared: Any) -> None:
    things(250, score=600)
    run = create(declare(declared))
    with pytest.raises(NoneSucceeds, match="the first 100 rows all failed, and none was changed") as stopped:
        go(run)
    run.refresh_from_db()
    assert (run.state, len(failures(run)), audited(run)) == ("failed", 100, {})
    assert f"manage.py runs resume {run.pk}" in str(stopped.value)
    assert "trials_thing_score_small" in str(stopped.value)


@BOTH
def test_a_run_that_was_stopped_goes_on_where_more_may_fail(declare: Declare, declared: Any) -> None:
    things(130, score=600), things(1)
    run = create(declare(declared))
    with pytest.raises(NoneSucceeds):
        go(run)
    runs.requeue(run, max_failures=130)
    assert (go(run).state, len(failures(run)), len(audited(run))) == ("finished_with_failures", 130, 1)


def test_more_failures_than_allowed_fail_the_run(declare: Declare) -> None:
    rows = things(10, score=600)
    run = create(declare(FILL), max_failures=3)
    with pytest.raises(TooManyFailures, match=f"4 rows failed, 3 were allowed. .* runs show {run.pk}"):
        go(run)
    run.refresh_from_db()
    assert (run.state, len(failures(run))) == ("failed", 4)
    Thing.objects.update(score=0)
    runs.requeue(run)
    assert go(run).state == "succeeded"
    assert audited(run).keys() == keys(rows)


def test_as_many_failures_as_allowed_are_borne(declare: Declare) -> None:
    things(10)
    Thing.objects.filter(name__in=["t1", "t5"]).update(score=600)
    run = execute(declare(FILL), max_failures=2)
    assert (run.state, len(audited(run))) == ("finished_with_failures", 8)


@BOTH
@pytest.mark.parametrize("code", ["57014", "53100", "XX000", "0A000"])
def test_an_error_that_is_no_rows_fault_fails_the_run_and_lets_it_go_on(
    declare: Declare, trigger: Any, declared: Any, code: str
) -> None:
    rows = things(20)
    trigger(
        "trials_thing",
        f"IF NEW.name = 't10' THEN RAISE EXCEPTION 'trouble' USING ERRCODE = '{code}'; END IF; RETURN NEW;",
    )
    run = create(declare(declared), batch_size=4)
    with pytest.raises(DatabaseError, match="trouble"):
        go(run)
    run.refresh_from_db()
    assert (run.state, failures(run), len(audited(run))) == ("failed", {}, 8)
    assert "trouble" in run.error
    sql("DROP TRIGGER trial ON trials_thing")
    runs.requeue(run)
    assert go(run).state == "succeeded"
    assert audited(run).keys() == keys(rows)


def test_a_statement_timeout_fails_the_run_and_no_row(declare: Declare, trigger: Any) -> None:
    things(3)
    trigger("trials_thing", "PERFORM pg_sleep(60); RETURN NEW;")
    run = create(declare(FILL))
    sql("SET statement_timeout = '100ms'")
    try:
        with pytest.raises(OperationalError, match="statement timeout"):
            go(run)
    finally:
        sql("RESET statement_timeout")
    run.refresh_from_db()
    assert (run.state, failures(run), audited(run)) == ("failed", {}, {})


def test_a_lost_race_is_run_again(declare: Declare, trigger: Any) -> None:
    rows = things(10)
    sql("CREATE SEQUENCE trial_tries")
    trigger(
        "trials_thing",
        "IF NEW.name = 't6' AND nextval('trial_tries') < 3 THEN"
        " RAISE EXCEPTION 'lost' USING ERRCODE = '40P01'; END IF; RETURN NEW;",
    )
    watched = Watched()
    try:
        run = execute(declare(FILL), watched, batch_size=4)
    finally:
        sql("DROP SEQUENCE trial_tries")
    assert (run.state, audited(run).keys()) == ("succeeded", keys(rows))
    assert [reason.splitlines()[0] for reason in watched.waited] == ["lost", "lost"]


@BOTH
def test_a_trigger_that_changes_another_row_of_the_batch_fails_no_row(
    declare: Declare, trigger: Any, declared: Any
) -> None:
    """In one statement PostgreSQL refuses it; one after the other they are changed."""
    rows = things(20)
    trigger(
        "trials_thing",
        "IF NEW.name = 't5' AND OLD.note IS NULL THEN"
        " UPDATE trials_thing SET score = 7 WHERE name = 't15'; END IF; RETURN NEW;",
    )
    run = execute(declare(declared))
    assert (run.state, failures(run), audited(run).keys()) == ("succeeded", {}, keys(rows))
    assert Thing.objects.get(name="t15").score == 507


def test_a_row_that_its_own_trigger_changes_as_well_fails_alone(declare: Declare, trigger: Any) -> None:
    rows = things(20)
    trigger(
        "trials_thing",
        "IF NEW.note = 't5' THEN UPDATE trials_thing SET note = '' WHERE name = 't5'; END IF; RETURN NEW;",
    )
    run = execute(declare(FILL))
    assert "already modified" in failures(run)[str(rows[4].pk)]
    assert audited(run).keys() == keys(rows) - failures(run).keys()
