"""The states of a run, and the only moves between them."""

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


# What a running run is called that does not move: by its health, or because nobody works on it. Derived, and
# stored nowhere: see `ops.runs.status`.
HELD, STALLED = "held", "stalled"

_OUTCOMES = {State.SUCCEEDED, State.FINISHED_WITH_FAILURES, State.VERIFICATION_FAILED, State.FAILED}

# Somebody works on it, or should.
ACTIVE = (State.QUEUED, State.RUNNING, State.PAUSING, State.CANCELLING)

# A process works on it, or has died at it.
IN_PROGRESS = (State.RUNNING, State.PAUSING, State.CANCELLING)

# It has ended, and not as it should.
UNSUCCESSFUL = (State.FAILED, State.FINISHED_WITH_FAILURES, State.VERIFICATION_FAILED)

TRANSITIONS: dict[State, set[State]] = {
    # A person must say yes first.
    State.AWAITING_APPROVAL: {State.QUEUED, State.CANCELLED},
    # Waiting for a process to take it up.
    State.QUEUED: {State.RUNNING, State.CANCELLED},
    # A dead process leaves its run here until another takes over.
    State.RUNNING: {State.PAUSING, State.CANCELLING, *_OUTCOMES},
    # The batch under way may still be the last one.
    State.PAUSING: {State.PAUSED, *_OUTCOMES},
    State.PAUSED: {State.QUEUED, State.CANCELLED},
    State.CANCELLING: {State.CANCELLED, *_OUTCOMES},
    # Resume, or retry of what failed.
    State.FAILED: {State.QUEUED},
    State.FINISHED_WITH_FAILURES: {State.QUEUED},
    State.VERIFICATION_FAILED: {State.QUEUED},
    State.SUCCEEDED: set(),
    State.CANCELLED: set(),
}
