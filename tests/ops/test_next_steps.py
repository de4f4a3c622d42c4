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
from ops.runs import lifecycle
from ops.runs.next_steps import ALLOWED_ACTIONS, RunAction, get_next_step, list_next_steps, rerun_command
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


def begun(**changes: Any) -> Run:
    run = annotate()
    lifecycle.start(run)
    Run.objects.filter(pk=run.pk).update(**changes)
    run.refresh_from_db()
    return run


def halted(halt: Callable[[Run], None]) -> Run:
    """After its first row."""
    run = annotate()
    return execute_run(run, RecordingMonitor(lambda number: number == 1 and halt(Run.objects.get(pk=run.pk))))


def with_a_failed_row(state: State) -> Run:
    run = halted(lifecycle.cancel)
    left = Thing.objects.filter(note=None).first()
    assert left is not None
    Failure.objects.create(run=run, object_id=str(left.pk), error="no")
    Run.objects.update(state=state)
    run.refresh_from_db()
    return run


def unverified() -> Run:
    hidden = Thing.objects.create(name="hidden")
    run = execute_run(annotate())
    assert run.state == State.VERIFICATION_FAILED
    hidden.delete()  # as the advice says
    return run


SOON, LONG_AGO = Now() + timedelta(minutes=5), Now() - timedelta(hours=1)
MADE: dict[str, Callable[[], Run]] = {
    S.AWAITING_APPROVAL: lambda: begun(state=S.AWAITING_APPROVAL),
    S.QUEUED: annotate,
    S.RUNNING: begun,
    HELD: lambda: begun(held_until=SOON, held_reason="maintenance: VACUUM of x; archiving: it fails"),
    STALLED: lambda: begun(working_since=LONG_AGO),
    S.PAUSING: lambda: begun(state=S.PAUSING),
    S.CANCELLING: lambda: begun(state=S.CANCELLING),
    S.PAUSED: lambda: halted(lifecycle.pause),
    S.FAILED: lambda: with_a_failed_row(S.FAILED),
    S.FINISHED_WITH_FAILURES: lambda: with_a_failed_row(S.FINISHED_WITH_FAILURES),
    S.VERIFICATION_FAILED: unverified,
    S.SUCCEEDED: lambda: execute_run(annotate()),
    S.CANCELLED: lambda: with_a_failed_row(S.CANCELLED),
}
# A row that failed in a run that succeeded is none that can be.
TYPED = [(status, verb) for status, verbs in ALLOWED_ACTIONS.items() for verb in verbs]
TYPED.remove((S.SUCCEEDED, RunAction.RETRY))
TYPED.remove((S.VERIFICATION_FAILED, RunAction.RETRY))


def advised(run: Run, verb: RunAction) -> str:
    """The command that is advised."""
    commands = [step.command for step in list_next_steps(read_run_status(run))]
    [command] = [typed for typed in commands if typed.startswith(f"manage.py runs {verb} ")]
    return command


def type_(manage: Manage, typed: str, *more: str) -> Any:
    program, *args = shlex.split(typed)
    assert program == "manage.py"
    return manage(*args, *more)


def test_there_is_advice_for_every_state_and_every_status() -> None:
    assert set(ALLOWED_ACTIONS) == {*State, HELD, STALLED} == set(MADE)


@pytest.mark.parametrize(("status", "verb"), TYPED)
def test_what_is_advised_in_a_status_works_when_it_is_typed(
    manage: Manage, redis_server: Redis, status: str, verb: RunAction
) -> None:
    run = MADE[status]()
    assert compute_status(run) == status
    typed = advised(run, verb)
    others = Thread(target=lambda: (execute_run(Run.objects.get(pk=run.pk)), connection.close()))
    if verb == RunAction.WATCH:  # somebody works on it meanwhile
        Run.objects.update(held_until=None)
        others.start()
    more = ["--execute"] if verb in (RunAction.RETRY, RunAction.REVERT) else []
    done = type_(manage, typed, *more)
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


@pytest.mark.parametrize("status", MADE)
def test_what_is_shown_of_a_run_ends_with_advice_of_its_status(
    manage: Manage, redis_server: Redis, status: str
) -> None:
    run = MADE[status]()
    first = str(get_next_step(read_run_status(run)))
    assert first in manage("runs", "show", run.pk).stdout or status in (S.SUCCEEDED, S.CANCELLED)


@pytest.mark.parametrize("status", [S.QUEUED, S.RUNNING, HELD, STALLED, S.PAUSED])
def test_whoever_wants_a_claimed_column_is_told_what_works(status: str) -> None:
    run = MADE[status]()
    with pytest.raises(ColumnClaimed) as refused:
        annotate()
    lines = str(refused.value).splitlines()
    assert lines[0].startswith(f"trials.thing.note is being written by run {run.pk} (trials_annotate, ")
    assert lines[1:] == [f"  {step}" for step in list_next_steps(read_run_status(run))]
    resume = f"manage.py runs resume {run.pk}"
    assert any(resume in line for line in lines)


def test_a_hold_names_the_flag_that_ignores_each_that_holds() -> None:
    run = MADE[HELD]()
    flags = "--ignore-health archiving --ignore-health maintenance"
    assert sorted(shlex.split(advised(run, RunAction.RESUME))[4:]) == sorted(flags.split())


def test_a_pause_that_is_refused_says_what_works_instead() -> None:
    run = annotate()
    with pytest.raises(InvalidTransition, match=rf"To resume it: manage\.py runs resume {run.pk}$"):
        lifecycle.pause(run)


def test_a_run_whose_declaration_never_shrinks_is_not_to_be_resumed(
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
    done = type_(manage, "manage.py operate forever", "--execute")
    assert done.returncode == 0


def test_too_many_failures_say_to_mend_the_rows_and_may_bear_more(
    declare: RegisterOperation, manage: Manage, trigger: Any
) -> None:
    trigger("trials_thing", "IF NEW.score = 0 THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW;")
    create_things(3)
    run = create_run(registry.get_operation("trials_annotate"), max_failures=1, batch_size=1)
    with pytest.raises(TooManyFailures):
        execute_run(run)
    assert get_next_step(read_run_status(run)).purpose == "Solve what the failed rows report, then resume it"
    more = manage("runs", "resume", run.pk, "--max-failures", 5)
    assert (more.returncode, Run.objects.get().state) == (1, "finished_with_failures")


def test_a_disk_that_was_full_asks_for_room_and_then_to_go_on(
    declare: RegisterOperation, manage: Manage
) -> None:
    run = begun()
    lifecycle.fail(run, "DiskFull: could not extend file", "53100")
    shown = manage("runs", "show", run.pk).stdout
    assert f"then resume it: manage.py runs resume {run.pk}\n" in shown
    assert "Make room on the disk of the database" in shown
    assert manage("runs", "resume", run.pk).returncode == 0


@pytest.mark.parametrize("state", [S.QUEUED, S.PAUSED, S.FAILED, S.RUNNING])
def test_a_run_whose_operation_is_gone_is_not_to_be_resumed(manage: Manage, state: State) -> None:
    run = begun(operation="gone", state=state, working_since=LONG_AGO)
    commands = [step.command for step in list_next_steps(read_run_status(run))]
    assert not any("resume" in command or "retry" in command for command in commands)
    for typed in commands:
        if "pause" not in typed and "operate" not in typed and "watch" not in typed:
            assert type_(manage, typed).returncode in (0, 1)


def test_what_is_started_anew_asks_the_same_as_before(manage: Manage, declare: RegisterOperation) -> None:
    create_things(2)
    params = {"score": "7", "only_noted": True}
    run = execute_operation(registry.get_operation("trials_score"), params=params, ignored_health=[])
    Run.objects.update(scope={"filter": {"name": "it's t1"}, "keys": False})
    run.refresh_from_db()
    typed = rerun_command(run)
    assert typed == "manage.py operate trials_score --score 7 --only-noted --filter 'name=it'\"'\"'s t1'"
    assert type_(manage, typed).returncode == 0


def test_a_run_over_chosen_rows_cannot_be_asked_for_anew_by_a_command() -> None:
    run = annotate()
    run.scope = {"filter": {}, "keys": True}
    assert rerun_command(run) == ""


def test_a_failed_run_of_a_changed_declaration_is_started_anew(declare: RegisterOperation) -> None:
    create_things(2)
    run = create_run(declare(make_operation(Thing.objects.filter(note=None), {"note": "a"})))
    lifecycle.start(run)
    lifecycle.fail(run, "no", "no")
    declare(make_operation(Thing.objects.filter(note=None), {"note": Value("b")}))
    commands = [step.command for step in list_next_steps(read_run_status(run))]
    assert commands == ["manage.py operate trial"]
