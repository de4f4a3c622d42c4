from __future__ import annotations

from ops.health.indicator import Indicator, Unhealthy, fetch_with_timeout

_ARCHIVER = """
SELECT count(ready.name), last_failed_time > coalesce(last_archived_time, '-infinity'), last_failed_wal
FROM pg_stat_archiver
LEFT JOIN pg_ls_archive_statusdir() AS ready ON ready.name LIKE '%.ready'
WHERE current_setting('archive_mode') <> 'off'
GROUP BY last_failed_time, last_archived_time, last_failed_wal
"""


class Archiving(Indicator):
    """WAL files are not archived in time: backups by WAL fall behind, and the disk fills."""

    name = "archiving"
    role = "pg_monitor"

    def check(self) -> Unhealthy | None:
        for waiting, failing, wal in fetch_with_timeout(_ARCHIVER):
            if waiting and failing:
                return self.unhealthy(f"archiving fails at WAL file {wal}; {waiting:,} waiting")
            if waiting > self.limits.archive_files:
                return self.unhealthy(
                    f"{waiting:,} WAL files wait for archiving (limit {self.limits.archive_files:,})"
                )
        return None
