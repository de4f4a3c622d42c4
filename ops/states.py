"""The states of a run, and the allowed transitions between them."""

from django.db import models


class State(models.TextChoices):
    AWAITING_APPROVAL = "awaiting_approval", "awaiting approval"
    QUEUED = "queued", "queued"
    RUNNING = "running", "running"
    PAUSING = "pausing", "pausing"
    PAUSED = "paused", "paused"
    CANCELLING = "cancelling", "cancelling"
    CANCELLED = "cancelled", "cancelled"
    SUCCEEDED = "succeeded", "succeeded"
    FINISHED_WITH_FAILURES = "finished_with_failures", "finished with failures"
    VERIFICATION_FAILED = "verification_failed", "verification failed"
    FAILED = "failed", "failed"


# The status of a running run that does not advance: held by its health, or no process works on it. Derived,
# and not stored: see `ops.runs.status`.
HELD, STALLED = "held", "stalled"

_OUTCOMES = {State.SUCCEEDED, State.FINISHED_WITH_FAILURES, State.VERIFICATION_FAILED, State.FAILED}

# A process works on it, or should.
ACTIVE = (State.QUEUED, State.RUNNING, State.PAUSING, State.CANCELLING)

# A process works on it, or has died while it did.
IN_PROGRESS = (State.RUNNING, State.PAUSING, State.CANCELLING)

# It has not ended: nobody can revert it, or retry its failed rows.
UNFINISHED = (*ACTIVE, State.PAUSED, State.AWAITING_APPROVAL)

# It has ended, and not as it should.
UNSUCCESSFUL = (State.FAILED, State.FINISHED_WITH_FAILURES, State.VERIFICATION_FAILED)

# It has tried all its rows.
COMPLETED = (State.SUCCEEDED, State.FINISHED_WITH_FAILURES, State.VERIFICATION_FAILED)

# It cannot be resumed: no transition leaves the state.
FINAL = (State.SUCCEEDED, State.CANCELLED)

TRANSITIONS: dict[State, set[State]] = {
    # A person must approve it first.
    State.AWAITING_APPROVAL: {State.QUEUED, State.CANCELLED},
    # Waiting for a process to start it.
    State.QUEUED: {State.RUNNING, State.CANCELLED},
    # If its process dies, the run stays here until another takes over.
    State.RUNNING: {State.PAUSING, State.CANCELLING, *_OUTCOMES},
    # The batch under way may still be the last one.
    State.PAUSING: {State.PAUSED, *_OUTCOMES},
    State.PAUSED: {State.QUEUED, State.CANCELLED},
    State.CANCELLING: {State.CANCELLED, *_OUTCOMES},
    # Resume, or retry of the failed rows.
    State.FAILED: {State.QUEUED},
    State.FINISHED_WITH_FAILURES: {State.QUEUED},
    State.VERIFICATION_FAILED: {State.QUEUED},
    State.SUCCEEDED: set(),
    State.CANCELLED: set(),
}
