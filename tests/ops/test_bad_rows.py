"""Bad rows are recorded with their error; an error that is no row's fault fails the run, which can resume."""

from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from ops.exceptions import AllRowsFailed, TooManyFailures
from ops.runs import lifecycle
from tests.ops.conftest import RegisterOperation
from tests.ops.running import (
    RecordingMonitor,
    audited_changes,
    create_run,
    create_things,
    errors_by_object,
    execute_operation,
    execute_run,
    execute_sql,
    make_operation,
    make_row_operation,
    parametrize_both,
    primary_keys,
)
from tests.trials.models import Sort, Thing

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

MISSING = Thing.objects.filter(note=None)
FILL = make_operation(MISSING, {"note": F("name"), "score": F("score") + 500})
FILL_EACH = make_row_operation(
    MISSING, lambda rows: {r.pk: {"note": r.name, "score": r.score + 500} for r in rows}, "note", "score"
)
BOTH = parametrize_both(FILL, FILL_EACH)
REFUSE = "IF NEW.name IN ('t3', 't33') THEN RAISE EXCEPTION '% is refused', NEW.name; END IF; RETURN NEW;"


@BOTH
@pytest.mark.parametrize("batch_size", [None, 1, 7])
def test_rows_that_break_a_constraint_fail_alone(
    declare: RegisterOperation, declared: Any, batch_size: int | None
) -> None:
    rows = create_things(40)
    bad = [rows[0], rows[1], rows[20], rows[39]]
    Thing.objects.filter(pk__in=[row.pk for row in bad]).update(score=600)
    run = execute_operation(declare(declared), batch_size=batch_size)
    assert run.state == "finished_with_failures"
    assert errors_by_object(run).keys() == primary_keys(bad)
    assert all("trials_thing_score_small" in error for error in errors_by_object(run).values())
    assert audited_changes(run).keys() == primary_keys(rows) - primary_keys(bad)
    assert sorted(Thing.objects.filter(note=None).values_list("pk", flat=True)) == [row.pk for row in bad]
    assert run.lanes.get().failed == 4


@BOTH
def test_what_a_trigger_raises_fails_its_row(declare: RegisterOperation, trigger: Any, declared: Any) -> None:
    rows = create_things(40)
    trigger("trials_thing", REFUSE)
    run = execute_operation(declare(declared))
    assert {key: error.splitlines()[0] for key, error in errors_by_object(run).items()} == {
        str(rows[2].pk): "t3 is refused",
        str(rows[32].pk): "t33 is refused",
    }
    assert len(audited_changes(run)) == 38


def test_the_row_that_postgresql_reports_is_tried_at_once(declare: RegisterOperation) -> None:
    rows = create_things(200)
    Thing.objects.filter(pk=rows[150].pk).update(score=600)
    with CaptureQueriesContext(connection) as queries:
        run = execute_operation(declare(FILL), batch_size=200)
    assert (errors_by_object(run).keys(), len(audited_changes(run))) == (primary_keys([rows[150]]), 199)
    tries = [query for query in queries.captured_queries if "audited AS" in query["sql"]]
    assert len(tries) == 4, "the batch, the rows before the row, the row, the rows after it"


@BOTH
@pytest.mark.parametrize("reported", [0, 10, 11, 30, "no key"])
def test_a_row_that_is_reported_wrongly_is_not_recorded_as_failed(
    declare: RegisterOperation, trigger: Any, declared: Any, reported: Any
) -> None:
    rows = create_things(40)
    key = rows[reported].pk if isinstance(reported, int) else reported
    trigger(
        "trials_thing",
        f"""IF NEW.name IN ('t12', 't21') THEN
            RAISE 'refused' USING ERRCODE = 'check_violation', DETAIL = 'Failing row contains ({key}, x).';
        END IF; RETURN NEW;""",
    )
    run = execute_operation(declare(declared), batch_size=40)
    assert errors_by_object(run).keys() == primary_keys([rows[11], rows[20]])
    assert audited_changes(run).keys() == primary_keys(rows) - errors_by_object(run).keys()


@BOTH
def test_every_row_may_fail(declare: RegisterOperation, declared: Any) -> None:
    rows = create_things(5, score=600)
    run = execute_operation(declare(declared))
    assert (run.state, errors_by_object(run).keys(), audited_changes(run)) == (
        "finished_with_failures",
        primary_keys(rows),
        {},
    )


def test_a_deferred_foreign_key_fails_its_row_and_not_the_commit(declare: RegisterOperation) -> None:
    good, bad = Sort.objects.create(), Sort.objects.create()
    owner = execute_sql("INSERT INTO trials_owner (id, name) VALUES (%s, 'x') RETURNING id", good.pk)
    run = execute_operation(declare(make_operation(Sort.objects.filter(owner=None), {"owner": F("pk")})))
    assert owner == [(good.pk,)]
    assert (list(audited_changes(run)), list(errors_by_object(run))) == ([str(good.pk)], [str(bad.pk)])
    assert "violates foreign key constraint" in errors_by_object(run)[str(bad.pk)]


@BOTH
def test_failed_rows_are_tried_again_after_a_resume(declare: RegisterOperation, declared: Any) -> None:
    rows = create_things(30)
    Thing.objects.filter(pk__in=[rows[3].pk, rows[9].pk]).update(score=600)
    run = execute_operation(declare(declared))
    assert len(errors_by_object(run)) == 2
    Thing.objects.filter(pk=rows[3].pk).update(score=1)
    lifecycle.requeue(run)
    assert (run.state, len(errors_by_object(run)), run.lanes.get().failed) == ("queued", 2, 0)
    execute_run(run)
    assert (run.state, errors_by_object(run).keys()) == ("finished_with_failures", {str(rows[9].pk)})
    Thing.objects.filter(pk=rows[9].pk).update(score=1)
    lifecycle.requeue(run)
    assert execute_run(run).state == "succeeded"
    assert audited_changes(run).keys() == primary_keys(rows)
    assert run.lanes.get().changed == 30


def test_failures_of_a_run_paused_in_its_last_sweep_are_not_forgotten(declare: RegisterOperation) -> None:
    rows = create_things(3)
    Thing.objects.filter(pk=rows[0].pk).update(score=600)
    run = create_run(declare(FILL))
    type(run).objects.update(sweep=6)
    execute_run(
        run,
        RecordingMonitor(
            lambda number: errors_by_object(run) and run.state == "running" and lifecycle.pause(run)
        ),
    )
    assert run.state == "paused"
    lifecycle.requeue(run)
    assert execute_run(run).state == "finished_with_failures"
    assert errors_by_object(run).keys() == {str(rows[0].pk)}


@BOTH
def test_a_run_whose_first_hundred_rows_fail_is_stopped(declare: RegisterOperation, declared: Any) -> None:
    create_things(250, score=600)
    run = create_run(declare(declared))
    with pytest.raises(AllRowsFailed, match="the first 100 rows all failed, and none was changed") as stopped:
        execute_run(run)
    run.refresh_from_db()
    assert (run.state, len(errors_by_object(run)), audited_changes(run)) == ("failed", 100, {})
    assert f"manage.py runs resume {run.pk}" in str(stopped.value)
    assert "trials_thing_score_small" in str(stopped.value)


@BOTH
def test_a_stopped_run_resumes_if_more_rows_may_fail(
    declare: RegisterOperation, monkeypatch: pytest.MonkeyPatch, declared: Any
) -> None:
    monkeypatch.setattr("ops.engine.failures._ALL_FAILED_LIMIT", 10)
    create_things(13, score=600), create_things(1)
    run = create_run(declare(declared))
    with pytest.raises(AllRowsFailed):
        execute_run(run)
    lifecycle.requeue(run, max_failures=13)
    assert (execute_run(run).state, len(errors_by_object(run)), len(audited_changes(run))) == (
        "finished_with_failures",
        13,
        1,
    )


def test_more_failures_than_allowed_fail_the_run(declare: RegisterOperation) -> None:
    rows = create_things(10, score=600)
    run = create_run(declare(FILL), max_failures=3)
    with pytest.raises(
        TooManyFailures, match=f"^4 rows failed; --max-failures allows 3. .* runs failures {run.pk}"
    ):
        execute_run(run)
    run.refresh_from_db()
    assert (run.state, len(errors_by_object(run))) == ("failed", 4)
    Thing.objects.update(score=0)
    lifecycle.requeue(run)
    assert execute_run(run).state == "succeeded"
    assert audited_changes(run).keys() == primary_keys(rows)


def test_as_many_failures_as_allowed_do_not_fail_the_run(declare: RegisterOperation) -> None:
    create_things(10)
    Thing.objects.filter(name__in=["t1", "t5"]).update(score=600)
    run = execute_operation(declare(FILL), max_failures=2)
    assert (run.state, len(audited_changes(run))) == ("finished_with_failures", 8)


@BOTH
@pytest.mark.parametrize("code", ["57014", "53100", "XX000", "0A000"])
def test_an_error_that_is_no_rows_fault_fails_the_run_and_lets_it_go_on(
    declare: RegisterOperation, trigger: Any, declared: Any, code: str
) -> None:
    rows = create_things(20)
    trigger(
        "trials_thing",
        f"IF NEW.name = 't10' THEN RAISE EXCEPTION 'trouble' USING ERRCODE = '{code}'; END IF; RETURN NEW;",
    )
    run = create_run(declare(declared), batch_size=4)
    with pytest.raises(DatabaseError, match="trouble"):
        execute_run(run)
    run.refresh_from_db()
    assert (run.state, errors_by_object(run), len(audited_changes(run))) == ("failed", {}, 8)
    assert "trouble" in run.error
    execute_sql("DROP TRIGGER trial ON trials_thing")
    lifecycle.requeue(run)
    assert execute_run(run).state == "succeeded"
    assert audited_changes(run).keys() == primary_keys(rows)


def test_a_statement_timeout_fails_the_run_and_no_row(declare: RegisterOperation, trigger: Any) -> None:
    create_things(3)
    trigger("trials_thing", "PERFORM pg_sleep(60); RETURN NEW;")
    run = create_run(declare(FILL))
    execute_sql("SET statement_timeout = '100ms'")
    try:
        with pytest.raises(OperationalError, match="statement timeout"):
            execute_run(run)
    finally:
        execute_sql("RESET statement_timeout")
    run.refresh_from_db()
    assert (run.state, errors_by_object(run), audited_changes(run)) == ("failed", {}, {})


def test_a_deadlock_is_retried(declare: RegisterOperation, trigger: Any) -> None:
    rows = create_things(10)
    execute_sql("CREATE SEQUENCE trial_tries")
    trigger(
        "trials_thing",
        "IF NEW.name = 't6' AND nextval('trial_tries') < 3 THEN"
        " RAISE EXCEPTION 'lost' USING ERRCODE = '40P01'; END IF; RETURN NEW;",
    )
    monitor = RecordingMonitor()
    try:
        run = execute_operation(declare(FILL), monitor, batch_size=4)
    finally:
        execute_sql("DROP SEQUENCE trial_tries")
    assert (run.state, audited_changes(run).keys()) == ("succeeded", primary_keys(rows))
    assert [reason.splitlines()[0] for reason in monitor.wait_reasons] == ["lost", "lost"]


@BOTH
def test_a_trigger_that_changes_another_row_of_the_batch_fails_no_row(
    declare: RegisterOperation, trigger: Any, declared: Any
) -> None:
    """In one statement PostgreSQL refuses it; one after the other they are changed."""
    rows = create_things(20)
    trigger(
        "trials_thing",
        "IF NEW.name = 't5' AND OLD.note IS NULL THEN"
        " UPDATE trials_thing SET score = 7 WHERE name = 't15'; END IF; RETURN NEW;",
    )
    run = execute_operation(declare(declared))
    assert (run.state, errors_by_object(run), audited_changes(run).keys()) == (
        "succeeded",
        {},
        primary_keys(rows),
    )
    assert Thing.objects.get(name="t15").score == 507


def test_a_row_that_its_own_trigger_changes_as_well_fails_alone(
    declare: RegisterOperation, trigger: Any
) -> None:
    rows = create_things(20)
    trigger(
        "trials_thing",
        "IF NEW.note = 't5' THEN UPDATE trials_thing SET note = '' WHERE name = 't5'; END IF; RETURN NEW;",
    )
    run = execute_operation(declare(FILL))
    assert "already modified" in errors_by_object(run)[str(rows[4].pk)]
    assert audited_changes(run).keys() == primary_keys(rows) - errors_by_object(run).keys()
