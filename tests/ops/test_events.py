"""Each event of a run is logged once, in order, with the run's number, after the commit."""

import logging
from typing import Any

import pytest
from django.core.management import call_command
from django.db import transaction

from ops.events import log_event
from ops.models import Run
from ops.runs import creation, lifecycle
from ops.runs.creation import RunRequest
from tests.ops.conftest import RegisterOperation
from tests.ops.running import (
    RecordingMonitor,
    create_run,
    create_things,
    execute_operation,
    execute_run,
    make_operation,
)
from tests.trials.models import Thing
from tests.trials.operations import Annotate

pytestmark = pytest.mark.django_db(transaction=True)

FILL = make_operation(Thing.objects.filter(note=None), {"note": "x"})


@pytest.fixture(autouse=True)
def _heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ops.events")


def events(caplog: pytest.LogCaptureFixture, run: Run) -> list[str]:
    records = [record for record in caplog.records if record.name == "ops.events"]
    assert {vars(record)["run"] for record in records} == {run.pk}
    return [vars(record)["event"] for record in records]


def test_the_life_of_a_run_is_logged(declare: RegisterOperation, caplog: pytest.LogCaptureFixture) -> None:
    create_things(4)
    run = create_run(declare(FILL), batch_size=2)
    execute_run(run, RecordingMonitor(lambda number: lifecycle.pause(Run.objects.get())))
    lifecycle.requeue(run)
    execute_run(run)
    logged = ["created", "started", "pausing", "paused", "resumed", "started", "ended"]
    assert events(caplog, run) == logged
    created, ended = vars(caplog.records[0])["facts"], vars(caplog.records[-1])["facts"]
    assert created == {"operation": "trial", "by": "tester", "rows": 4, "batch_size": 2}
    assert (ended["state"], ended["changed"], ended["of"], ended["failed"]) == ("succeeded", 4, 4, 0)


def test_a_process_that_joins_is_logged(declare: RegisterOperation, caplog: pytest.LogCaptureFixture) -> None:
    run = create_run(declare(FILL))
    twin = Run.objects.get()
    lifecycle.start(run)
    lifecycle.start(twin)
    assert events(caplog, run) == ["created", "started", "joined"]


def test_a_cancelled_run_ends_once(declare: RegisterOperation, caplog: pytest.LogCaptureFixture) -> None:
    run = create_run(declare(FILL))
    lifecycle.start(run)
    lifecycle.cancel(run)
    assert events(caplog, run) == ["created", "started", "cancelling", "ended"]


def test_who_paused_resumed_and_cancelled_it_is_logged(
    caplog: pytest.LogCaptureFixture, settings: Any
) -> None:
    settings.RQ_QUEUES = {"default": {"URL": "redis://127.0.0.1:9/0"}}  # away: nobody takes the run up
    create_things(1)
    run = creation.create_run(RunRequest(Annotate, "ada", workers=1))
    lifecycle.start(run)
    for verb in ("pause", "resume", "cancel"):
        call_command("runs", verb, str(run.pk), "--as", "bob")
    logged = {vars(r)["event"]: vars(r)["facts"].get("by") for r in caplog.records if r.name == "ops.events"}
    by_bob = {"pausing": "bob", "resumed": "bob", "ended": "bob"}
    assert logged == {"created": "ada", "started": None, "paused": None, **by_bob}


def test_failed_rows_are_counted_and_not_listed(
    declare: RegisterOperation, caplog: pytest.LogCaptureFixture, trigger: object
) -> None:
    create_things(30)
    trigger("trials_thing", "RAISE EXCEPTION 'no';")  # type: ignore[operator]
    run = execute_operation(declare(FILL), batch_size=1)
    assert events(caplog, run) == ["created", "started", "failing", "failing", "ended"]
    assert [vars(r)["facts"]["rows"] for r in caplog.records if vars(r)["event"] == "failing"] == [1, 10]
    assert caplog.records[-1].levelname == "WARNING"


def test_a_sweep_is_logged(declare: RegisterOperation, caplog: pytest.LogCaptureFixture) -> None:
    run = create_run(declare(FILL))
    lifecycle.start_next_sweep(run)
    assert events(caplog, run) == ["created", "sweep"]


def test_what_was_rolled_back_is_not_logged(
    declare: RegisterOperation, caplog: pytest.LogCaptureFixture
) -> None:
    run = create_run(declare(FILL))
    with transaction.atomic():
        log_event(run, "undone")
        transaction.set_rollback(True)
    assert events(caplog, run) == ["created"]
