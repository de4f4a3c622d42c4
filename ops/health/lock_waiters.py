from __future__ import annotations

from ops.db import run_application_name
from ops.health.indicator import Indicator, Unhealthy, fetch_rows

# pg_blocking_pids() stops the lock manager for a moment: it is asked only of those who wait. Of those who
# want one row only the first waits for its holder, and each other for the one before.
_WAITERS = """
WITH RECURSIVE ours AS (
    SELECT array_agg(pid) AS pids FROM pg_stat_activity
    WHERE datname = current_database() AND (application_name = %s OR application_name LIKE %s)
), waiting AS MATERIALIZED (
    SELECT pid, min(waitstart) AS since, pg_blocking_pids(pid) AS holders FROM pg_locks, ours
    WHERE NOT granted AND pid <> ALL (pids) GROUP BY pid
), stuck AS (
    SELECT pid, since FROM waiting, ours WHERE holders && pids
    UNION SELECT waiting.pid, waiting.since FROM waiting JOIN stuck ON stuck.pid = ANY (holders)
)
SELECT count(*), coalesce(max(extract(epoch FROM clock_timestamp() - since)) * 1000, 0) FROM stuck
"""


class LockWaiters(Indicator):
    """Others wait for locks of the run, longer or more of them than a short batch can account for."""

    name = "waiters"

    def ask(self) -> Unhealthy | None:
        name = run_application_name(self.run)
        [(count, longest)] = fetch_rows(_WAITERS, name, f"{name} lane %")
        if longest > self.limits.lock_wait_ms:
            limit = f"(limit {self.limits.lock_wait_ms:,})"
            return self.sick(f"somebody has waited {longest:,.0f} ms for a lock of this run {limit}")
        if count > self.limits.lock_waiters:
            return self.sick(f"{count} wait for locks of this run (limit {self.limits.lock_waiters})")
        return None
