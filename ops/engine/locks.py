"""How a run's batches come by the locks of their rows, by what they have met so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from ops.engine.batch_size import BatchSize
from ops.engine.statement import LockMode
from ops.models import Run
from ops.sqlstates import LOCK_NOT_AVAILABLE

# The last sweep waits for locked rows. Below deadlock_timeout (1 s), so that it is always the engine that
# yields to the player.
LAST_SWEEP = 4
LOCK_TIMEOUT = timedelta(milliseconds=500)
# After so many waits in vain, somebody holds rows for good: the others are only asked for.
_MAX_FULL_LOCK_WAITS = 60
_SHORT_LOCK_TIMEOUT = timedelta(milliseconds=5)
# After a batch AT_ONCE that met a row which somebody holds, so many are SKIPPING.
_SKIP_LOCKED_BATCHES = 50
# A lock that SKIP LOCKED does not cover, such as that of a parent row, may be lost so often in a row.
_MAX_LOCK_RETRIES = 3


@dataclass
class LockPolicy:
    """See Note [Three ways to lock the rows of a batch]."""

    run: Run
    size: BatchSize
    is_mergeable: bool
    lock_timeouts: int = field(default=0, init=False)
    consecutive_lock_errors: int = field(default=0, init=False)
    skip_locked_batches: int = field(default=0, init=False)

    @property
    def is_last_sweep(self) -> bool:
        """Whether it is the last sweep, which waits for a row that somebody holds."""
        return self.run.sweep >= LAST_SWEEP

    @property
    def mode(self) -> LockMode:
        """That of the next batch."""
        if self.is_last_sweep:
            return LockMode.WAIT
        may = (
            self.size.is_bounded_by_keys
            and self.size.rows > 1
            and self.is_mergeable
            and not self.skip_locked_batches
        )
        return LockMode.MERGE if may else LockMode.SKIP_LOCKED

    @property
    def row_lock_timeout(self) -> timedelta:
        """How long it is waited for a lock."""
        return _SHORT_LOCK_TIMEOUT if self.lock_timeouts > _MAX_FULL_LOCK_WAITS else LOCK_TIMEOUT

    @property
    def batch_lock_timeout(self) -> timedelta:
        """How long the next batch waits for a lock."""
        return _SHORT_LOCK_TIMEOUT if self.mode is LockMode.MERGE else self.row_lock_timeout

    def record_success(self) -> None:
        self.consecutive_lock_errors = 0
        self.skip_locked_batches = max(0, self.skip_locked_batches - 1)

    def record_locked_row(self) -> None:
        """A batch AT_ONCE met a row that somebody holds."""
        self.skip_locked_batches = _SKIP_LOCKED_BATCHES

    def should_retry(self, state: str) -> bool:
        """After a batch that lost a lock: whether the same batch is worth another try.

        In the last sweep it is where nobody holds the row any more: it was moved to another partition.
        """
        self.consecutive_lock_errors += 1
        waited = self.is_last_sweep and state == LOCK_NOT_AVAILABLE
        return not waited and self.consecutive_lock_errors < _MAX_LOCK_RETRIES
