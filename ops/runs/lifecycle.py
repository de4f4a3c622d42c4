"""Change the state of a run: start, pause, cancel, resume, end."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Case, DurationField, F, OuterRef, Q, Subquery, When
from django.db.models.functions import Greatest, Now

from ops.clock import WorkTimer, elapsed_since
from ops.command_lines import manage_command
from ops.db import IDLE_IN_TRANSACTION_TIMEOUT
from ops.events import log_event, process_name
from ops.exceptions import InvalidTransition, RunLost, UnknownRun
from ops.models import Decision, Failure, Lane, Run
from ops.runs import approval_policy, claims, followups
from ops.runs.events import log_transition
from ops.runs.next_steps import RunAction, format_run_command
from ops.runs.rebuild import rebuild_operation
from ops.runs.status import describe_next_step
from ops.states import FINAL, IN_PROGRESS, TRANSITIONS, UNSUCCESSFUL, State

_TRANSITION_VERBS = {
    State.QUEUED: "be resumed",
    State.RUNNING: "be started",
    State.PAUSING: "be paused",
    State.PAUSED: "be paused",
    State.CANCELLING: "be cancelled",
    State.CANCELLED: "be cancelled",
}


def get_run(pk: int) -> Run:
    try:
        return Run.objects.get(pk=pk)
    except Run.DoesNotExist:
        raise UnknownRun(f"There is no run {pk}. To list the runs: {manage_command('runs')}") from None


def refresh_run(run: Run, **options: Any) -> None:
    """Read the run again; ``options`` as for ``refresh_from_db``. Raises RunLost."""
    try:
        run.refresh_from_db(**options)
    except Run.DoesNotExist as exc:
        raise RunLost(run.pk) from exc


def transition(run: Run, to: State, requested_by: str = "", **changes: Any) -> None:
    """Change the state and write ``changes`` with it; end a hold; log it and who requested it.

    Raises InvalidTransition.
    """
    changes = {
        "held_until": None,
        "held_for": None,
        "held_reason": "",
        **_work_timer_fields(run, to),
        **changes,
    }
    source_states = [state for state, target_states in TRANSITIONS.items() if to in target_states]
    if not Run.objects.filter(pk=run.pk, state__in=source_states).update(state=to, **changes):
        refresh_run(run)
        verb = _TRANSITION_VERBS.get(to, f"become {to.label}")
        raise InvalidTransition(
            f"Run {run.pk} {_describe_state(run)}, so it cannot {verb}.",
            f"To see it: {format_run_command(run.pk, RunAction.SHOW)}",
        )
    refresh_run(run)
    log_transition(run, requested_by)


def _describe_state(run: Run) -> str:
    """Return the state of the run as the predicate of a sentence."""
    if run.state in (*FINAL, *UNSUCCESSFUL):
        return f"has already ended ({run.get_state_display()})"
    if run.state == State.QUEUED and run.started_at is None:
        return "has not started"
    if run.state == State.AWAITING_APPROVAL:
        return "awaits approval"
    return f"is {run.get_state_display()}"


def _work_timer_fields(run: Run, to: State) -> dict[str, Any]:
    """Time counts as work while the run is running, pausing or cancelling."""
    if to == State.RUNNING:
        return {"working_since": Now()}
    if to in (State.PAUSING, State.CANCELLING):
        return {}
    # A restore pauses runs but leaves their working_since, and no process has worked on them since then.
    is_timer_running = Q(state__in=IN_PROGRESS, working_since__isnull=False)
    since = When(is_timer_running, then=elapsed_since("working_since", run.work_timer))
    span = Case(since, default=timedelta(), output_field=DurationField())
    return {"working_since": None, "worked": F("worked") + span}


def start(run: Run) -> None:
    """Start a queued run, or join a running one."""
    if run.state != State.RUNNING:
        try:
            transition(run, State.RUNNING, started_at=run.started_at or Now(), error="", error_code="")
            run.work_timer = WorkTimer(is_complete=True)
            return
        except InvalidTransition:
            if run.state != State.RUNNING:  # else another process has just started it
                raise
    _subtract_idle_time(run)
    run.work_timer = WorkTimer(is_complete=False)
    log_event(run, "joined", process=process_name())


def _subtract_idle_time(run: Run) -> None:
    """Do not count the time since the last batch as work, if no process can be in a batch.

    A process that idles longer than that in a batch has lost its transaction.
    """
    heartbeats = Lane.objects.filter(run=OuterRef("pk"), heartbeat_at__isnull=False).order_by("-heartbeat_at")
    last = Greatest(Subquery(heartbeats.values("heartbeat_at")[:1]), "working_since")
    running = Run.objects.filter(pk=run.pk, state=State.RUNNING, held_until=None)
    idle = running.alias(last=last).filter(last__lt=Now() - IDLE_IN_TRANSACTION_TIMEOUT)
    idle.update(worked=F("worked") + (last - F("working_since")), working_since=Now())


def requeue(run: Run, requested_by: str = "", **changes: Any) -> None:
    """Queue a halted or ended run again: its columns are claimed, and its failed rows tried again.

    ``changes`` are fields to write into the run, also into one that is running.

    Raises InvalidTransition, ColumnClaimed, DeclarationChanged.
    """
    rebuild_operation(run)
    if run.state in (State.PAUSING, State.CANCELLING):
        finish_halt(run)
    with transaction.atomic():
        refresh_run(run, from_queryset=Run.objects.select_for_update())
        _check_may_requeue(run)
        if run.state in (State.QUEUED, State.RUNNING):
            update_run(run, **changes)
            return
        transition(
            run, State.QUEUED, requested_by, **changes, finished_at=None, checks=[], error="", error_code=""
        )
        claims.acquire(run)
        Failure.objects.filter(run=run).update(to_retry=True)
        Lane.objects.filter(run=run).update(failed=0)
        if not run.lanes.filter(finished=False).exists():
            start_next_sweep(run, number=2)
        elif run.sweep > 2:  # Failed rows are behind the cursors: only another sweep reaches them.
            run.sweep = 2
            run.save(update_fields=["sweep"])


def assign_workers(run: Run, workers: int | None) -> None:
    """Let that many workers advance the run from now on; None: a process in a terminal."""
    update_run(run, workers=workers)


def update_run(run: Run, **changes: Any) -> None:
    """Write the fields into the run."""
    for name, value in changes.items():
        setattr(run, name, value)
    run.save(update_fields=changes)


def ignore_health(run: Run, names: Iterable[str]) -> None:
    """Let these indicators hold the run no more. A hold ends now, and the others are evaluated again."""
    if added := {*names} - {*run.ignored_health}:
        run.ignored_health = sorted({*run.ignored_health} | added)
        run.held_until, run.held_for, run.held_reason = None, None, ""
        run.save(update_fields=["ignored_health", "held_until", "held_for", "held_reason"])
        log_event(run, "ignores", indicators=", ".join(run.ignored_health))


def _check_may_requeue(run: Run) -> None:
    if run.state == State.AWAITING_APPROVAL:
        reason = f"Run {run.pk} awaits approval, so it cannot be resumed."
        raise InvalidTransition(reason, describe_next_step(run))
    if run.state in FINAL:
        raise InvalidTransition(
            f"Run {run.pk} {_describe_state(run)}, so it cannot be resumed.",
            f"To see it: {format_run_command(run.pk, RunAction.SHOW)}",
        )


def pause(run: Run, requested_by: str = "") -> None:
    """Pause the run when its current batches have committed. Raises InvalidTransition."""
    if run.state == State.PAUSED:
        raise InvalidTransition(f"Run {run.pk} is already paused.", describe_next_step(run))
    if run.state != State.PAUSING:
        with _suggest_next_step(run):
            transition(run, State.PAUSING, requested_by)
    finish_halt(run)


def cancel(run: Run, requested_by: str = "") -> None:
    """Cancel the run when its current batches have committed. What it changed stays changed."""
    refresh_run(run)
    if run.state == State.RUNNING:
        transition(run, State.CANCELLING, requested_by)
    if run.state in (State.PAUSING, State.CANCELLING):
        finish_halt(run)
    if run.state == State.CANCELLED:
        return
    try:
        with _suggest_next_step(run):
            end(run, State.CANCELLED, requested_by)
    except InvalidTransition:
        if run.state != State.RUNNING:  # else a process has just started it
            raise
        cancel(run, requested_by)


@contextmanager
def _suggest_next_step(run: Run) -> Iterator[None]:
    """Add the next step to an InvalidTransition."""
    try:
        yield
    except InvalidTransition as exc:
        raise InvalidTransition(exc.reason, describe_next_step(run)) from exc


@transaction.atomic
def finish_halt(run: Run) -> None:
    """Complete a halt, that is a pause or a cancel, when the run's batches have committed."""
    _wait_for_batches(run)
    with suppress(InvalidTransition):  # it has just ended by itself
        if run.state == State.PAUSING:
            transition(run, State.PAUSED)
        elif run.state == State.CANCELLING:
            end(run, State.CANCELLED)


@transaction.atomic
def fail(run: Run, error: str, code: str = "") -> None:
    """Fail a run in progress when its batches have committed; until then it keeps its claims.

    ``code`` is the error's SQLSTATE, or its exception's code; the next steps depend on it.
    """
    _wait_for_batches(run)
    if run.state in IN_PROGRESS:
        end(run, State.FAILED, error=error, error_code=code)


def _wait_for_batches(run: Run) -> None:
    """Lock the run and its lanes, so that no batch begins and the state stays until the transaction ends.

    A batch locks its lane. The run is locked first, as by whoever resets its lanes, and FOR NO KEY UPDATE, so
    that rows that refer to it can still be written.
    """
    refresh_run(run, from_queryset=Run.objects.select_for_update(no_key=True))
    list(run.lanes.select_for_update().order_by("pk"))


@transaction.atomic
def end(
    run: Run, state: State, requested_by: str = "", unneeded_followups: Collection[str] = (), **changes: Any
) -> None:
    """End the run, release its claims, and start its follow-ups. Raises InvalidTransition."""
    transition(run, state, requested_by, finished_at=Now(), **changes)
    if state == State.CANCELLED:
        approval_policy.close(run, Decision.WITHDRAWN, requested_by)
    claims.release(run)
    followups.start_followups(run, unneeded_followups)


def start_next_sweep(run: Run, number: int | None = None) -> None:
    """Move every lane back to its first key; ``number`` is that of the sweep, by default the next."""
    run.sweep = number or run.sweep + 1
    run.save(update_fields=["sweep"])
    # Only the lane of an empty table has no upper bound. It stays finished: later rows are not the run's.
    run.lanes.exclude(upper=None).update(cursor=None, finished=False)
    log_event(run, "sweep", number=run.sweep)
