from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from time import monotonic

from django.db import ProgrammingError

from ops.db import statement_timeout
from ops.disk import DiskSpace, DiskSpaceUnknown, declared_disk, local_disks
from ops.formatting import format_size
from ops.health.indicator import STATEMENT_TIMEOUT, Indicator, Unhealthy, fetch_with_timeout

_MB = 10**6
# The server adds up the sizes of all files of its databases: too expensive for every second.
_REFRESH_INTERVAL = timedelta(seconds=10)
# WAL that takes this many times its configured size is retained by a slot or by archiving.
_WAL_EXCESS_FACTOR = 3
_WAL = """
SELECT (SELECT sum(size) FROM pg_ls_waldir())::bigint, pg_size_bytes(current_setting('max_wal_size'))
    + pg_size_bytes(current_setting('wal_keep_size')), coalesce((
        SELECT format('the slot %s', slot_name) FROM pg_replication_slots
        WHERE restart_lsn IS NOT NULL ORDER BY restart_lsn LIMIT 1), 'archiving, or a long checkpoint')
"""


class DatabaseDisk(Indicator):
    """The disk of the database is nearly full: writes of the run and of players would fail."""

    name = "disk"
    _cached_space: tuple[float, DiskSpace] | None = None

    def check(self) -> Unhealthy | None:
        try:
            least = min(self._list_spaces(), key=lambda space: space.free_bytes)
        except DiskSpaceUnknown:
            with suppress(ProgrammingError):  # the role pg_monitor is missing
                if retained := self._check_retained_wal():
                    return retained
            raise
        if least.free_bytes < self.limits.disk_free_mb * _MB:
            limit = format_size(self.limits.disk_free_mb * _MB)
            return self.unhealthy(
                f"{format_size(max(0, least.free_bytes))} free of {least.label} (limit {limit})"
            )
        return None

    def _list_spaces(self) -> list[DiskSpace]:
        """Return the space of the server's disks, or, for a server on another host, the declared one.

        Raises DiskSpaceUnknown.
        """
        with statement_timeout(STATEMENT_TIMEOUT):
            if spaces := local_disks():
                return spaces
            cached = self._cached_space
            if cached is None or monotonic() - cached[0] > _REFRESH_INTERVAL.total_seconds():
                cached = self._cached_space = monotonic(), declared_disk(self.limits.database_disk)
            return [cached[1]]

    def _check_retained_wal(self) -> Unhealthy | None:
        """Check the size of WAL: the one sign of a full disk where its free space is unknown."""
        [(size, configured, holder)] = fetch_with_timeout(_WAL)
        if size is None or size <= _WAL_EXCESS_FACTOR * configured:
            return None
        return self.unhealthy(
            f"{format_size(size)} of WAL ({format_size(configured)} configured), retained by {holder}"
        )
