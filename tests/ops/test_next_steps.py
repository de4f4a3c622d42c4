"""Every command that is suggested for a run, in every status, is typed here and works."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from django.db import connection
from django.db.models import Value
from django.db.models.functions import Now
from redis import Redis

from ops.exceptions import ColumnClaimed, InvalidTransition, NonTerminating, TooManyFailures
from ops.models import Failure, Run
from ops.operations import registry
from ops.report.reporters import ProgressReporter
from ops.runs import lifecycle
from ops.runs.next_steps import (
    ALLOWED_ACTIONS,
    RunAction,
    RunStatus,
    get_next_step,
    list_next_steps,
    rerun_command,
)
from ops.runs.status import compute_status, read_run_status
from ops.states import HELD, STALLED, State
from tests.conftest import Manage
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

pytestmark = pytest.mark.django_db(transaction=True)

S = State


def annotate(**options: Any) -> Run:
    create_things(3)
    return create_run(registry.get_operation("trials_annotate"), batch_size=1, **options)


def started_run(**changes: Any) -> Run:
    run = annotate()
    lifecycle.start(run)
    Run.objects.filter(pk=run.pk).update(**changes)
    run.refresh_from_db()
    return run


def halted_run(halt: Callable[[Run], None]) -> Run:
    """After its first row."""
    run = annotate()
    return execute_run(run, RecordingMonitor(lambda number: number == 1 and halt(Run.objects.get(pk=run.pk))))


def run_with_failed_row(state: State) -> Run:
    run = halted_run(lifecycle.cancel)
    left = Thing.objects.filter(note=None).first()
    assert left is not None
    Failure.objects.create(run=run, object_id=str(left.pk), error="no")
    Run.objects.update(state=state)
    run.refresh_from_db()
    return run


def unverified_run() -> Run:
    hidden = Thing.objects.create(name="hidden")
    run = execute_run(annotate())
    assert run.state == State.VERIFICATION_FAILED
    hidden.delete()  # as the advice says
    return run


SOON, LONG_AGO = Now() + timedelta(minutes=5), Now() - timedelta(hours=1)
RUNS: dict[str, Callable[[], Run]] = {
    S.AWAITING_APPROVAL: lambda: started_run(state=S.AWAITING_APPROVAL),
    S.QUEUED: annotate,
    S.RUNNING: started_run,
    HELD: lambda: started_run(held_until=SOON, held_reason="maintenance: VACUUM of x; archiving: it fails"),
    STALLED: lambda: started_run(working_since=LONG_AGO),
    S.PAUSING: lambda: started_run(state=S.PAUSING),
    S.CANCELLING: lambda: started_run(state=S.CANCELLING),
    S.PAUSED: lambda: halted_run(lifecycle.pause),
    S.FAILED: lambda: run_with_failed_row(S.FAILED),
    S.FINISHED_WITH_FAILURES: lambda: run_with_failed_row(S.FINISHED_WITH_FAILURES),
    S.VERIFICATION_FAILED: unverified_run,
    S.SUCCEEDED: lambda: execute_run(annotate()),
    S.CANCELLED: lambda: run_with_failed_row(S.CANCELLED),
}
# A row that failed in a run that succeeded is none that can be.
TYPED = [(status, verb) for status, verbs in ALLOWED_ACTIONS.items() for verb in verbs]
TYPED.remove((S.SUCCEEDED, RunAction.RETRY))
TYPED.remove((S.VERIFICATION_FAILED, RunAction.RETRY))


def find_step_command(run: Run, verb: RunAction) -> str:
    """The command that is advised."""
    commands = [step.command for step in list_next_steps(read_run_status(run))]
    [command] = [
        command_line for command_line in commands if command_line.startswith(f"manage.py runs {verb} ")
    ]
    return command


def type_command(manage: Manage, command_line: str, *more: str) -> Any:
    program, *args = shlex.split(command_line)
    assert program == "manage.py"
    return manage(*args, *more)


def test_every_state_and_status_has_next_steps() -> None:
    assert set(ALLOWED_ACTIONS) == {*State, HELD, STALLED} == set(RUNS)


@pytest.mark.parametrize(("status", "verb"), TYPED)
def test_each_next_step_of_a_status_works_when_typed(
    manage: Manage, redis_server: Redis, monkeypatch: pytest.MonkeyPatch, status: str, verb: RunAction
) -> None:
    monkeypatch.setattr(ProgressReporter, "interval", 0.05)
    run = RUNS[status]()
    assert compute_status(run) == status
    command_line = find_step_command(run, verb)
    others = Thread(target=lambda: (execute_run(Run.objects.get(pk=run.pk)), connection.close()))
    if verb == RunAction.WATCH:  # somebody works on it meanwhile
        Run.objects.update(held_until=None)
        others.start()
    more = ["--execute"] if verb in (RunAction.RETRY, RunAction.REVERT) else []
    done = type_command(manage, command_line, *more)
    if verb == RunAction.WATCH:
        others.join()
    assert (done.returncode, done.stderr) == (0, "")
    run.refresh_from_db()
    ends = {
        RunAction.RESUME: S.SUCCEEDED,
        RunAction.WATCH: S.SUCCEEDED,
        RunAction.PAUSE: S.PAUSED,
        RunAction.CANCEL: S.CANCELLED,
    }
    assert run.state == ends.get(verb, run.state)
    if more:
        assert Run.objects.latest("pk").state == S.SUCCEEDED


@pytest.mark.parametrize("status", RUNS)
def test_runs_show_ends_with_the_next_step(manage: Manage, redis_server: Redis, status: str) -> None:
    run = RUNS[status]()
    first = str(get_next_step(read_run_status(run)))
    assert first in manage("runs", "show", run.pk).stdout or status in (S.SUCCEEDED, S.CANCELLED)


@pytest.mark.parametrize("status", [S.QUEUED, S.RUNNING, HELD, STALLED, S.PAUSED])
def test_a_claimed_column_is_refused_with_the_next_steps(status: str) -> None:
    run = RUNS[status]()
    with pytest.raises(ColumnClaimed) as refused:
        annotate()
    lines = str(refused.value).splitlines()
    assert lines[0].startswith(f"Run {run.pk} (trials_annotate, ")
    assert lines[1:] == [f"  {step}" for step in list_next_steps(read_run_status(run))]
    resume = f"manage.py runs resume {run.pk}"
    assert any(resume in line for line in lines)


def test_a_hold_names_the_flag_that_ignores_each_that_holds() -> None:
    run = RUNS[HELD]()
    flags = "--ignore-health archiving --ignore-health maintenance"
    assert sorted(shlex.split(find_step_command(run, RunAction.RESUME))[4:]) == sorted(flags.split())


@pytest.mark.parametrize(
    ("is_missing", "step"),
    [
        (True, "To start it in this terminal: manage.py runs resume 1 --here"),
        (False, "To put it on the queue again: manage.py runs resume 1"),
    ],
)
def test_a_queued_run_is_started_here_only_without_a_worker(is_missing: bool, step: str) -> None:
    status = RunStatus(1, S.QUEUED, uses_workers=True, has_no_worker=is_missing)
    assert step in map(str, list_next_steps(status))


def test_a_refused_pause_names_the_next_step() -> None:
    run = annotate()
    with pytest.raises(
        InvalidTransition, match=rf"To start it in this terminal: manage\.py runs resume {run.pk}$"
    ):
        lifecycle.pause(run)


def test_a_run_whose_queryset_does_not_shrink_cannot_be_resumed(
    declare: RegisterOperation, manage: Manage
) -> None:
    create_things(1)
    run = create_run(declare(make_operation(Thing.objects.filter(name="t1"), {"note": "x"}, name="forever")))
    with pytest.raises(NonTerminating):
        execute_run(run)
    shown = manage("runs", "show", run.pk).stdout
    assert "runs resume" not in shown
    assert "Correct the operation's code, then start again: manage.py operate forever\n" in shown
    declare(make_operation(Thing.objects.filter(note=None), {"note": "x"}, name="forever"))
    done = type_command(manage, "manage.py operate forever", "--execute")
    assert done.returncode == 0


def test_after_too_many_failures_the_limit_can_be_raised(
    declare: RegisterOperation, manage: Manage, trigger: Any
) -> None:
    trigger("trials_thing", "IF NEW.score = 0 THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW;")
    create_things(3)
    run = create_run(registry.get_operation("trials_annotate"), max_failures=1, batch_size=1)
    with pytest.raises(TooManyFailures):
        execute_run(run)
    assert get_next_step(read_run_status(run)).purpose == "Correct the failed rows, then resume it"
    more = manage("runs", "resume", run.pk, "--max-failures", 5)
    assert (more.returncode, Run.objects.get().state) == (1, "finished_with_failures")


def test_after_a_full_disk_the_next_step_is_room_and_resume(
    declare: RegisterOperation, manage: Manage
) -> None:
    run = started_run()
    lifecycle.fail(run, "DiskFull: could not extend file", "53100")
    shown = manage("runs", "show", run.pk).stdout
    assert f"then resume it: manage.py runs resume {run.pk}\n" in shown
    assert "Make room on the disk of the database" in shown
    assert manage("runs", "resume", run.pk).returncode == 0


@pytest.mark.parametrize("state", [S.QUEUED, S.PAUSED, S.FAILED, S.RUNNING])
def test_a_run_of_a_removed_operation_cannot_be_resumed(manage: Manage, state: State) -> None:
    run = started_run(operation="gone", state=state, working_since=LONG_AGO)
    commands = [step.command for step in list_next_steps(read_run_status(run))]
    assert not any("resume" in command or "retry" in command for command in commands)
    for command_line in commands:
        if "pause" not in command_line and "operate" not in command_line and "watch" not in command_line:
            assert type_command(manage, command_line).returncode in (0, 1)


def test_the_rerun_command_repeats_parameters_and_filter(manage: Manage, declare: RegisterOperation) -> None:
    create_things(2)
    params = {"score": "7", "only_noted": True}
    run = execute_operation(registry.get_operation("trials_score"), params=params, ignored_health=[])
    Run.objects.update(scope={"filter": {"name": "it's t1"}, "keys": False})
    run.refresh_from_db()
    command_line = rerun_command(run)
    assert (
        command_line == "manage.py operate trials_score --score 7 --only-noted --filter 'name=it'\"'\"'s t1'"
    )
    assert type_command(manage, command_line).returncode == 0


def test_a_run_over_chosen_rows_has_no_rerun_command() -> None:
    run = annotate()
    run.scope = {"filter": {}, "keys": True}
    assert rerun_command(run) == ""


def test_a_failed_run_of_changed_code_is_started_again(declare: RegisterOperation) -> None:
    create_things(2)
    run = create_run(declare(make_operation(Thing.objects.filter(note=None), {"note": "a"})))
    lifecycle.start(run)
    lifecycle.fail(run, "no", "no")
    declare(make_operation(Thing.objects.filter(note=None), {"note": Value("b")}))
    commands = [step.command for step in list_next_steps(read_run_status(run))]
    assert commands == ["manage.py operate trial"]
