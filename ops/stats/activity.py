"""The sessions at work, and which of them block which."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ops.sql.query import fetch_all

# The application_name of a batch is "kyndo run 7 lane 1": see `ops.db.run_application_name`.
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
    """``age`` is that of its statement, or of its transaction where it is idle; ``blocked_by`` has pids."""

    pid: int
    name: str
    state: str
    age: timedelta
    waits_on: str
    blocked_by: list[int]
    query: str


def fetch_sessions() -> list[Session]:
    """Fetch the sessions of this database that are active or hold a transaction open, the oldest first."""
    return [Session(*row) for row in fetch_all(_SESSIONS)]
