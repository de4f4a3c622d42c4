from __future__ import annotations

from ops.db import run_application_name
from ops.health.indicator import Indicator, Unhealthy, fetch_with_timeout

# pg_blocking_pids() briefly locks the whole lock manager, so it is called for waiting sessions only. Of the
# sessions that wait for one row, only the first waits for its holder, and each other for the one before.
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
    """Other sessions wait for locks of the run, longer or more of them than a short batch explains."""

    name = "waiters"

    def check(self) -> Unhealthy | None:
        name = run_application_name(self.run)
        [(count, longest)] = fetch_with_timeout(_WAITERS, name, f"{name} lane %")
        longest_limit, count_limit = self.limits.lock_wait_ms, self.limits.lock_waiters
        if longest > longest_limit:
            limit = f"(limit {longest_limit:,})"
            return self.unhealthy(f"a session has waited {longest:,.0f} ms for a lock of this run {limit}")
        if count > count_limit:
            return self.unhealthy(f"{count} sessions wait for locks of this run (limit {count_limit})")
        return None
