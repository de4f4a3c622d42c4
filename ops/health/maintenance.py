from __future__ import annotations

from django.apps import apps
from django.db import connection

from ops.health.indicator import Indicator, Unhealthy, fetch_rows

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

    What a person started is waited for to its end: an index that is built the plain way locks every writer
    out, and a run that went on would fail. An autovacuum gets a head start, where the limits say so.
    """

    name = "maintenance"
    role = "pg_monitor"

    def ask(self) -> Unhealthy | None:
        table = connection.ops.quote_name(apps.get_model(self.run.model)._meta.db_table)
        for command, pid, automatic, seconds in fetch_rows(_MAINTENANCE, table):
            if not automatic:
                return self.sick(f"{command} of {table} by process {pid}")
            if 0 <= seconds < self.limits.autovacuum_seconds:
                return self.sick(f"autovacuum of {table} has just begun")
        return None
