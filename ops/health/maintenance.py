from __future__ import annotations

from django.apps import apps
from django.db import connection

from ops.health.indicator import Indicator, Unhealthy, fetch_with_timeout

# VACUUM, building indexes and rewriting the table. Not ANALYZE and COPY, which only read.
_MAINTENANCE = """
WITH work AS (
    SELECT pid, relid, 'VACUUM' AS command FROM pg_stat_progress_vacuum
    UNION ALL SELECT pid, relid, command FROM pg_stat_progress_create_index
    UNION ALL SELECT pid, relid, command FROM pg_stat_progress_cluster
)
SELECT command, pid, backend_type = 'autovacuum worker', extract(epoch FROM clock_timestamp() - xact_start)
FROM work JOIN pg_stat_activity USING (pid) WHERE relid = to_regclass(%s)
"""


class Maintenance(Indicator):
    """The table is being vacuumed, indexed or rewritten.

    Maintenance that a person started holds the run until it ends: CREATE INDEX without CONCURRENTLY blocks
    all writers, so the run would fail. An autovacuum holds it for its first ``autovacuum_seconds``.
    """

    name = "maintenance"
    role = "pg_monitor"

    def check(self) -> Unhealthy | None:
        table = connection.ops.quote_name(apps.get_model(self.run.model)._meta.db_table)
        for command, pid, is_autovacuum, seconds in fetch_with_timeout(_MAINTENANCE, table):
            if not is_autovacuum:
                return self.unhealthy(f"{command} of {table} by process {pid}")
            if 0 <= seconds < self.limits.autovacuum_seconds:
                return self.unhealthy(f"autovacuum of {table} has just begun")
        return None
