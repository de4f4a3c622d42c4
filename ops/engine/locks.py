"""How the next batch of a run locks its rows, by what earlier batches met."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from ops.engine.batch_size import BatchSize
from ops.engine.statement import LockMode
from ops.models import Run
from ops.sqlstates import LOCK_NOT_AVAILABLE

# The last sweep waits for locked rows.
LAST_SWEEP = 4
# Below deadlock_timeout (1 s), so that in a deadlock the engine is cancelled, and not the player.
LOCK_TIMEOUT = timedelta(milliseconds=500)
# After so many of these timeouts some transaction keeps its locks: the timeout is short from then on.
_MAX_FULL_LOCK_WAITS = 60
_SHORT_LOCK_TIMEOUT = timedelta(milliseconds=5)
# After a batch in MERGE mode met a locked row, so many are in SKIP_LOCKED mode.
_SKIP_LOCKED_BATCHES = 50
# SKIP LOCKED does not cover every lock, as that of a parent row: a batch is retried so many times.
_MAX_LOCK_RETRIES = 3


@dataclass
class LockPolicy:
    """Choose the mode and the timeout of each batch's locks: see Note [Lock modes of a batch].

    ``is_mergeable``: the operation and its table allow the mode MERGE.
    """

    run: Run
    size: BatchSize
    is_mergeable: bool
    lock_timeouts: int = field(default=0, init=False)
    consecutive_lock_errors: int = field(default=0, init=False)
    skip_locked_batches: int = field(default=0, init=False)

    @property
    def is_last_sweep(self) -> bool:
        """Whether this is the sweep that waits for locked rows."""
        return self.run.sweep >= LAST_SWEEP

    @property
    def mode(self) -> LockMode:
        """The mode of the next batch."""
        if self.is_last_sweep:
            return LockMode.WAIT
        has_rows = self.size.is_bounded_by_keys and self.size.rows > 1
        return (
            LockMode.MERGE
            if has_rows and self.is_mergeable and not self.skip_locked_batches
            else LockMode.SKIP_LOCKED
        )

    @property
    def row_lock_timeout(self) -> timedelta:
        """The lock_timeout of a transaction that waits for rows."""
        return _SHORT_LOCK_TIMEOUT if self.lock_timeouts > _MAX_FULL_LOCK_WAITS else LOCK_TIMEOUT

    @property
    def batch_lock_timeout(self) -> timedelta:
        """The lock_timeout of the next batch."""
        return _SHORT_LOCK_TIMEOUT if self.mode is LockMode.MERGE else self.row_lock_timeout

    def record_success(self) -> None:
        """After a batch that was committed."""
        self.consecutive_lock_errors = 0
        self.skip_locked_batches = max(0, self.skip_locked_batches - 1)

    def record_locked_row(self) -> None:
        """After a batch in MERGE mode that met a locked row."""
        self.skip_locked_batches = _SKIP_LOCKED_BATCHES

    def should_retry(self, state: str) -> bool:
        """After a batch that failed on a lock with this SQLSTATE, whether to repeat the same batch.

        In the last sweep, only if the row is not locked any more: it was moved to another partition.
        """
        self.consecutive_lock_errors += 1
        has_waited = self.is_last_sweep and state == LOCK_NOT_AVAILABLE
        return not has_waited and self.consecutive_lock_errors < _MAX_LOCK_RETRIES
