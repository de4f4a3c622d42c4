from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from time import monotonic

from django.db import ProgrammingError

from ops.db import statement_timeout
from ops.disk import DiskSpace, DiskSpaceUnknown, declared_disk, local_disks
from ops.formatting import format_size
from ops.health.indicator import STATEMENT_TIMEOUT, Indicator, Unhealthy, fetch_rows

_MB = 10**6
# What databases take is counted file by file, which is not done every second.
_REFRESH_INTERVAL = timedelta(seconds=10)
# WAL beyond so many times what is meant to be there is kept by something that does not let go of it.
_WAL_EXCESS_FACTOR = 3
_WAL = """
SELECT (SELECT sum(size) FROM pg_ls_waldir())::bigint, pg_size_bytes(current_setting('max_wal_size'))
    + pg_size_bytes(current_setting('wal_keep_size')), coalesce((
        SELECT format('the slot %%s', slot_name) FROM pg_replication_slots
        WHERE restart_lsn IS NOT NULL ORDER BY restart_lsn LIMIT 1), 'archiving, or a long checkpoint')
"""


class DatabaseDisk(Indicator):
    """The disk of the database gets full: the run would fail, and players would with it."""

    name = "disk"
    _declared: tuple[float, DiskSpace] | None = None

    def ask(self) -> Unhealthy | None:
        try:
            least = min(self._rooms(), key=lambda room: room.free)
        except DiskSpaceUnknown:
            with suppress(ProgrammingError):  # for want of the role
                if kept := self._wal_is_kept():
                    return kept
            raise
        if least.free < self.limits.disk_free_mb * _MB:
            limit = format_size(self.limits.disk_free_mb * _MB)
            return self.sick(f"{format_size(max(0, least.free))} free of {least.where} (limit {limit})")
        return None

    def _rooms(self) -> list[DiskSpace]:
        with statement_timeout(STATEMENT_TIMEOUT):
            if found := local_disks():
                return found
            if self._declared is None or monotonic() - self._declared[0] > _REFRESH_INTERVAL.total_seconds():
                self._declared = monotonic(), declared_disk(self.limits.database_disk)
            return [self._declared[1]]

    def _wal_is_kept(self) -> Unhealthy | None:
        """All that is known of a disk that nobody can see: that WAL heaps up on it."""
        [(size, meant, keeper)] = fetch_rows(_WAL)
        if size is None or size <= _WAL_EXCESS_FACTOR * meant:
            return None
        return self.sick(
            f"{format_size(size)} of WAL, where {format_size(meant)} are meant; kept by {keeper}"
        )
