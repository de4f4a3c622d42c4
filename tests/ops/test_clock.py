"""A clock that goes back: nothing stands still for it, and nothing untrue is told."""

from collections.abc import Callable
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from ops import registry, runs, words
from ops.admin.live import Look
from ops.creation import Request
from ops.export.queue import LOST
from ops.health.hold import hold, is_held
from ops.models import Export, ExportState, Lane, Run
from ops.preview import preview
from ops.progress import progress_of
from ops.queue.presence import _is_recent, is_quiet
from ops.report.run import summary
from ops.states import State
from ops.stats.queues import _active_run
from ops.workers.reaper import _at_work
from tests.conftest import Manage
from tests.ops.conftest import Declare
from tests.ops.running import Watched, create, go, operation, things
from tests.trials.models import Thing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.engine]

STEP = timedelta(hours=2)
MOMENTS = {
    Run: ("created_at", "started_at", "working_since", "held_until"),
    Lane: ("heartbeat_at",),
    Export: ("created_at", "heartbeat_at"),
}


def go_back(step: timedelta = STEP) -> None:
    """What the database's clock is to have told before lies that much later, seen from now."""
    for model, columns in MOMENTS.items():
        model._base_manager.update(**{column: F(column) + step for column in columns})


@pytest.fixture
def begun(declare: Declare) -> Callable[..., Run]:
    """A run of 40 rows, halted after a few batches or at its end."""
    declare(operation(Thing.objects.filter(score__lt=7), {"score": 7}))

    def begun(batches: int) -> Run:
        things(40)
        run, stop = create(registry.get("trial"), batch_size=10), Event()
        return go(run, Watched(lambda number: number == batches and stop.set()), stop)

    return begun


def test_a_hold_of_seconds_does_not_stand_for_hours(begun: Callable[..., Run]) -> None:
    run = begun(1)
    runs.requeue(run)
    runs.start(run)
    hold(run, "trial: sick", timedelta(seconds=5))
    assert is_held(run)
    go_back()
    assert not is_held(run)
    assert go(run).state == State.SUCCEEDED
    assert Run.objects.get().held_for is None


def test_a_hold_goes_on_where_the_clock_stands_right(begun: Callable[..., Run]) -> None:
    run = begun(1)
    runs.requeue(run)
    runs.start(run)
    hold(run, "trial: sick", timedelta(seconds=60))
    stop = Event()
    watched = Watched()
    watched.held = lambda run: stop.set()  # type: ignore[method-assign]
    go(run, watched, stop)
    assert watched.batches == 0


def test_a_run_under_way_when_the_clock_went_back_tells_what_can_be(begun: Callable[..., Run]) -> None:
    run = begun(2)
    runs.requeue(run)
    runs.start(run)
    go_back()
    run.refresh_from_db()
    told = progress_of(run)
    assert timedelta(0) < told.elapsed < timedelta(minutes=1)
    assert 0 < _active_run(run).rate < 1_000_000
    run = go(run)
    assert run.worked >= timedelta(0)
    assert timedelta(0) < progress_of(run).elapsed < timedelta(minutes=1)
    assert " -" not in summary(run)[0]


@pytest.mark.parametrize("step", [STEP, -STEP])
def test_a_run_that_one_process_did_took_what_its_own_clock_says(declare: Declare, step: timedelta) -> None:
    declare(operation(Thing.objects.filter(score__lt=7), {"score": 7}))
    things(40)

    def shift(number: int) -> None:
        if number == 2:
            go_back(step)

    run = go(create(registry.get("trial"), batch_size=10), Watched(shift))
    assert run.state == State.SUCCEEDED
    assert timedelta(0) < run.worked < timedelta(minutes=10)


def test_a_rate_is_not_learnt_from_a_clock_that_went_back(begun: Callable[..., Run]) -> None:
    run = begun(99)
    Lane.objects.update(changed=100_000, busy=timedelta(seconds=10))
    Run.objects.update(worked=timedelta(microseconds=1))
    things(3)
    seen = preview(Request(registry.get("trial"), "tester"))
    assert (seen.learnt_from, seen.rate) == (run.pk, 10_000)


def test_a_clock_of_this_machine_that_is_behind_changes_no_duration(
    begun: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun(2)
    runs.requeue(run)
    runs.start(run)
    run.refresh_from_db()
    right = timezone.now
    for off in (-STEP, STEP):
        monkeypatch.setattr(timezone, "now", lambda off=off: right() + off)
        assert timedelta(0) < progress_of(run).elapsed < timedelta(minutes=1)


def test_a_dead_process_whose_beat_lies_ahead_is_not_taken_for_one_at_work(begun: Callable[..., Run]) -> None:
    run = begun(1)
    runs.requeue(run)
    runs.start(run)
    assert _at_work(run) == 1
    go_back()
    assert _at_work(run) == 0
    assert is_quiet(run)


@pytest.mark.parametrize(
    ("beat", "is_lost"), [(None, True), (-STEP, True), (STEP, True), (timedelta(0), False)]
)
def test_an_export_whose_beat_lies_ahead_is_lost(beat: timedelta | None, is_lost: bool) -> None:
    given: dict[str, Any] = {"heartbeat_at": None if beat is None else Now() + beat}
    Export.objects.create(asked={}, performed_by="ada", state=ExportState.RUNNING, **given)
    assert Export.objects.filter(LOST).exists() == is_lost


def test_a_worker_whose_beat_lies_ahead_is_not_alive() -> None:
    assert _is_recent(timezone.now())
    assert not _is_recent(timezone.now() + STEP)
    assert not _is_recent(timezone.now() - STEP)


def test_a_page_that_looked_at_a_later_time_tells_no_rate() -> None:
    assert Look(0, 0).pace(10, 20)
    assert Look(0, timezone.now().timestamp() + 7200).pace(10, 20) == ""


def test_a_duration_below_nothing_is_none_and_a_rate_of_it_is_not_told() -> None:
    assert words.duration(-STEP) == "0.0 s"
    assert words.rate(30_001, -STEP) == "0 rows/s"
    assert words.rate(30_001, timedelta(0)) == "0 rows/s"
    assert words.rate(500, timedelta(seconds=2)) == "250 rows/s"


def test_runs_are_listed_and_shown_after_the_clock_went_back(
    begun: Callable[..., Run], manage: Manage
) -> None:
    run = begun(2)
    go_back()
    shown = manage("runs", "show", run.pk)
    assert (shown.returncode, manage("runs").returncode) == (0, 0)
    assert "-7" not in shown.stdout
