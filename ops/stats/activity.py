"""What runs now, and who waits for whom."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ops.sql.query import fetch_all

# A batch of a run calls its connection "kyndo run 7 lane 0".
_SESSIONS = """
SELECT pid, coalesce(nullif(application_name, ''), usename, backend_type), state,
    coalesce(now() - CASE WHEN state = 'active' THEN query_start ELSE xact_start END, '0'),
    concat_ws(': ', wait_event_type, wait_event), pg_blocking_pids(pid),
    regexp_replace(query, '\\s+', ' ', 'g')
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'
ORDER BY 4 DESC, pid
"""


@dataclass(frozen=True)
class Session:
    """``age``: of its statement, or of its transaction where it does nothing. ``blocked_by``: pids."""

    pid: int
    name: str
    state: str
    age: timedelta
    waits_on: str
    blocked_by: list[int]
    query: str


def fetch_sessions() -> list[Session]:
    """Everybody in this database who is at work, or holds a transaction open; the longest first."""
    return [Session(*row) for row in fetch_all(_SESSIONS)]
