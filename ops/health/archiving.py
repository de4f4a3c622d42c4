from __future__ import annotations

from ops.health.indicator import Indicator, Unhealthy, fetch_rows

_ARCHIVER = """
SELECT count(ready.name), last_failed_time > coalesce(last_archived_time, '-infinity'), last_failed_wal
FROM pg_stat_archiver
LEFT JOIN pg_ls_archive_statusdir() AS ready ON ready.name LIKE '%%.ready'
WHERE current_setting('archive_mode') <> 'off'
GROUP BY last_failed_time, last_archived_time, last_failed_wal
"""


class Archiving(Indicator):
    """WAL waits to be archived: the backup falls behind, and the disk fills."""

    name = "archiving"
    role = "pg_monitor"

    def ask(self) -> Unhealthy | None:
        for waiting, failing, wal in fetch_rows(_ARCHIVER):
            if waiting and failing:
                return self.sick(f"archiving fails at WAL file {wal}; {waiting:,} waiting")
            if waiting > self.limits.archive_files:
                return self.sick(
                    f"{waiting:,} WAL files wait for archiving (limit {self.limits.archive_files:,})"
                )
        return None
