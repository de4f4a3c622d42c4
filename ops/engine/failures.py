"""Record the rows that could not be changed, and stop a run once no row can be at fault."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from django.db.models import F
from django.db.models.functions import Now

from ops.command_lines import manage_command
from ops.events import log_event, process_name
from ops.exceptions import AllRowsFailed, TooManyFailures
from ops.formatting import pluralize
from ops.models import Failure, Lane, Run

# A run whose first rows all fail, as many as this, fails on every row.
_ALL_FAILED_LIMIT = 100
# Rows in succession that the database leaves unchanged: a longer list of failures is of no use.
_UNCHANGED_ROW_LIMIT = 2_000


@dataclass
class FailureTracker:
    """Record the failed rows of a run, and raise when there are too many of them."""

    run: Run
    has_new: bool = field(default=False, init=False)
    # process() raised for each of the last so many rows.
    consecutive_process_errors: int = field(default=0, init=False)
    # The database left each of the last so many rows unchanged, and raised no error.
    consecutive_unchanged: int = field(default=0, init=False)
    _next_logged_count: int = field(default=1, init=False)

    def record(self, lane: Lane, key: str, error: str) -> None:
        """Record that the row failed, and move the cursor past it. In a transaction that holds the lane."""
        # What Python or a file name says may hold what PostgreSQL cannot store.
        text = error.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
        Failure.objects.bulk_create(
            [Failure(run=lane.run, object_id=key, error=text or "no reason was given")],
            update_conflicts=True,
            unique_fields=["run", "object_id"],
            update_fields=["error", "to_retry", "created_at"],
        )
        Lane.objects.filter(pk=lane.pk).update(cursor=key, failed=F("failed") + 1, heartbeat_at=Now())
        self.has_new = True

    def check(self, count_remaining: Callable[[], int]) -> None:
        """Raise TooManyFailures or AllRowsFailed where the run must stop."""
        limit, failed = self.run.max_failures, self.run.failures.counted().count()
        self._log_count(failed)
        if limit is None:
            self._check_all_failed(failed)
            self._check_unchanged(count_remaining)
        elif failed > limit:
            raise TooManyFailures(
                f"{pluralize(failed, 'row')} failed; --max-failures allows {limit:,}."
                f" To list them: {manage_command('runs', 'failures', self.run.pk)}"
            )

    def _log_count(self, failed: int) -> None:
        """Log the first failure, then ten times as many each time: a log is not a list of rows."""
        if failed < self._next_logged_count:
            return
        self._next_logged_count = 10 * failed
        latest = self.run.failures.counted().latest("created_at", "pk").error.partition("\n")[0]
        log_event(self.run, "failing", logging.WARNING, rows=failed, latest=latest, process=process_name())

    def _check_all_failed(self, failed: int) -> None:
        if failed < _ALL_FAILED_LIMIT:
            return
        if self.consecutive_process_errors >= _ALL_FAILED_LIMIT:
            raise self._all_rows_failed(
                f"process() raised for {self.consecutive_process_errors} rows in succession"
            )
        if not self.run.lanes.filter(changed__gt=0).exists():
            raise self._all_rows_failed(f"the first {failed} rows all failed, and none was changed")

    def _check_unchanged(self, count_remaining: Callable[[], int]) -> None:
        if self.consecutive_unchanged >= _UNCHANGED_ROW_LIMIT:
            raise self._all_rows_failed(
                f"the database left {self.consecutive_unchanged:,} rows unchanged in succession;"
                f" {count_remaining():,} more were not tried"
            )

    def _all_rows_failed(self, reason: str) -> AllRowsFailed:
        latest = self.run.failures.counted().latest("created_at", "pk")
        return AllRowsFailed(
            f"{reason}. The last one, {latest.object_id}: {latest.error.partition(chr(10))[0]}."
            f" To list them: {manage_command('runs', 'failures', self.run.pk)}."
            f" Once the cause is fixed: {manage_command('runs', 'resume', self.run.pk)};"
            " if so many rows may fail, add --max-failures N"
        )


def unchanged_reason(selected: int) -> str:
    """Say why a candidate was not changed although no error was raised."""
    if selected:
        kept = "a trigger or row-level security kept the row as it was"
        return f"not changed: {kept}, or other sessions changed it each time"
    return "not changed: this role may read the row, but not change it (row-level security)"
