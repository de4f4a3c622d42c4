"""A clock that is set back: no run stops for it, and no wrong duration is shown."""

from collections.abc import Callable
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from ops.admin.live.live_page import ProgressSnapshot
from ops.export.queue import heartbeat_expired
from ops.formatting import format_duration, format_rate
from ops.health.hold import hold_run, is_held
from ops.models import Export, ExportState, Lane, Run
from ops.operations import registry
from ops.queue.liveness import _is_recent, is_stalled
from ops.report.run import format_summary
from ops.runs import lifecycle
from ops.runs.creation import RunRequest
from ops.runs.preview import build_preview
from ops.runs.progress import read_progress
from ops.states import State
from ops.stats.queues import _to_active_run
from ops.workers.reaper import _count_active_workers
from tests.conftest import Manage
from tests.ops.conftest import RegisterOperation
from tests.ops.running import RecordingMonitor, create_run, create_things, execute_run, make_operation
from tests.trials.models import Thing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.engine]

STEP = timedelta(hours=2)
MOMENTS = {
    Run: ("created_at", "started_at", "working_since", "held_until"),
    Lane: ("heartbeat_at",),
    Export: ("created_at", "heartbeat_at"),
}


def go_back(step: timedelta = STEP) -> None:
    """Move every stored time into the future, as if the database's clock had been set back."""
    for model, columns in MOMENTS.items():
        model._base_manager.update(**{column: F(column) + step for column in columns})


@pytest.fixture
def begun(declare: RegisterOperation) -> Callable[..., Run]:
    """A run of 40 rows, halted after a few batches or at its end."""
    declare(make_operation(Thing.objects.filter(score__lt=7), {"score": 7}))

    def begun(batches: int) -> Run:
        create_things(40)
        run, stop = create_run(registry.get_operation("trial"), batch_size=10), Event()
        return execute_run(run, RecordingMonitor(lambda number: number == batches and stop.set()), stop)

    return begun


def test_a_hold_of_seconds_does_not_last_for_hours(begun: Callable[..., Run]) -> None:
    run = begun(1)
    lifecycle.requeue(run)
    lifecycle.start(run)
    hold_run(run, "trial: sick", timedelta(seconds=5))
    assert is_held(run)
    go_back()
    assert not is_held(run)
    assert execute_run(run).state == State.SUCCEEDED
    assert Run.objects.get().held_for is None


def test_a_hold_goes_on_if_the_clock_was_not_set_back(begun: Callable[..., Run]) -> None:
    run = begun(1)
    lifecycle.requeue(run)
    lifecycle.start(run)
    hold_run(run, "trial: sick", timedelta(seconds=60))
    stop = Event()
    monitor = RecordingMonitor()
    monitor.on_hold = lambda run: stop.set()  # type: ignore[method-assign]
    execute_run(run, monitor, stop)
    assert monitor.batches == 0


def test_a_run_shows_plausible_times_after_the_clock_went_back(begun: Callable[..., Run]) -> None:
    run = begun(2)
    lifecycle.requeue(run)
    lifecycle.start(run)
    go_back()
    run.refresh_from_db()
    progress = read_progress(run)
    assert timedelta(0) < progress.elapsed < timedelta(minutes=1)
    assert 0 < _to_active_run(run).rate < 1_000_000
    run = execute_run(run)
    assert run.worked >= timedelta(0)
    assert timedelta(0) < read_progress(run).elapsed < timedelta(minutes=1)
    assert " -" not in format_summary(run)[0]


@pytest.mark.parametrize("step", [STEP, -STEP])
def test_a_run_of_one_process_is_timed_by_its_monotonic_clock(
    declare: RegisterOperation, step: timedelta
) -> None:
    declare(make_operation(Thing.objects.filter(score__lt=7), {"score": 7}))
    create_things(40)

    def shift(number: int) -> None:
        if number == 2:
            go_back(step)

    run = execute_run(create_run(registry.get_operation("trial"), batch_size=10), RecordingMonitor(shift))
    assert run.state == State.SUCCEEDED
    assert timedelta(0) < run.worked < timedelta(minutes=10)


def test_a_rate_is_not_learnt_from_a_clock_that_went_back(begun: Callable[..., Run]) -> None:
    run = begun(99)
    Lane.objects.update(changed=100_000, busy=timedelta(seconds=10))
    Run.objects.update(worked=timedelta(microseconds=1))
    create_things(3)
    preview = build_preview(RunRequest(registry.get_operation("trial"), "tester"))
    assert (preview.rate_source_run, preview.rate) == (run.pk, 10_000)


def test_the_clock_of_this_machine_changes_no_duration(
    begun: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun(2)
    lifecycle.requeue(run)
    lifecycle.start(run)
    run.refresh_from_db()
    right = timezone.now
    for offset in (-STEP, STEP):
        monkeypatch.setattr(timezone, "now", lambda offset=offset: right() + offset)
        assert timedelta(0) < read_progress(run).elapsed < timedelta(minutes=1)


def test_a_dead_process_with_a_future_heartbeat_is_not_active(begun: Callable[..., Run]) -> None:
    run = begun(1)
    lifecycle.requeue(run)
    lifecycle.start(run)
    assert _count_active_workers(run) == 1
    go_back()
    assert _count_active_workers(run) == 0
    assert is_stalled(run)


@pytest.mark.parametrize(
    ("beat", "is_lost"), [(None, True), (-STEP, True), (STEP, True), (timedelta(0), False)]
)
def test_an_export_with_a_future_heartbeat_is_lost(beat: timedelta | None, is_lost: bool) -> None:
    fields: dict[str, Any] = {"heartbeat_at": None if beat is None else Now() + beat}
    Export.objects.create(asked={}, performed_by="ada", state=ExportState.RUNNING, **fields)
    assert Export.objects.filter(heartbeat_expired()).exists() == is_lost


def test_a_worker_with_a_future_heartbeat_is_not_alive() -> None:
    assert _is_recent(timezone.now())
    assert not _is_recent(timezone.now() + STEP)
    assert not _is_recent(timezone.now() - STEP)


def test_a_page_whose_snapshot_is_in_the_future_shows_no_rate() -> None:
    assert ProgressSnapshot(0, 0).format_rate(10, 20)
    assert ProgressSnapshot(0, timezone.now().timestamp() + 7200).format_rate(10, 20) == ""


def test_a_negative_duration_is_zero_and_has_no_rate() -> None:
    assert format_duration(-STEP) == "0.0 s"
    assert format_rate(30_001, -STEP) == "0 rows/s"
    assert format_rate(30_001, timedelta(0)) == "0 rows/s"
    assert format_rate(500, timedelta(seconds=2)) == "250 rows/s"


def test_runs_are_listed_and_shown_after_the_clock_went_back(
    begun: Callable[..., Run], manage: Manage
) -> None:
    run = begun(2)
    go_back()
    shown = manage("runs", "show", run.pk)
    assert (shown.returncode, manage("runs").returncode) == (0, 0)
    assert "-7" not in shown.stdout
