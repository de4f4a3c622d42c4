"""Room for WAL: whether a run over the largest table would force checkpoints under the players."""

from __future__ import annotations

from dataclasses import dataclass

from ops.command_lines import psql_command
from ops.disk import read_wal_size
from ops.formatting import format_size
from ops.operations import registry
from ops.preflight.finding import Finding, PreflightContext, Severity
from ops.preflight.space import get_database_free_bytes
from ops.sql.query import fetch_all

# With forced checkpoints a million rows on 630 MB of pages wrote 1.6 GB, 100 MB a second; with room 1.1 GB.
_WAL_BYTES_PER_ROW = 1_000  # bytes of WAL: its new version, its audit row and that one's index entries
_MAX_WAL_RATE = 100 * 10**6  # bytes of WAL a second, at most
_GB = 2**30

_LARGEST_TABLE_SQL = """
SELECT c.relname, greatest(reltuples, n_live_tup, 0)::bigint * %s + pg_relation_size(c.oid) AS wal
FROM pg_class c LEFT JOIN pg_stat_user_tables ON relid = c.oid
WHERE c.relname = ANY(%s) AND pg_table_is_visible(c.oid) ORDER BY wal DESC LIMIT 1
"""
_SETTINGS_SQL = """
SELECT current_setting('max_wal_size'), pg_size_bytes(current_setting('max_wal_size')),
    extract(epoch FROM current_setting('checkpoint_timeout')::interval)::int
"""


@dataclass(frozen=True)
class _WalSettings:
    """max_wal_size as PostgreSQL tells it and in bytes, the seconds between two checkpoints.

    ``taken`` are the bytes of the WAL that there is; None where our role may not see it.
    """

    told: str
    room: int
    timeout: int
    taken: int | None

    def growth(self, room: int) -> int:
        """Bytes that the WAL may still take of its disk where max_wal_size is ``room``."""
        return max(0, room - (self.taken or 0))


def check_wal_room(context: PreflightContext) -> Finding:
    """Once half of max_wal_size is written a checkpoint begins; who commits while it syncs, waits."""
    found = fetch_all(_LARGEST_TABLE_SQL, _WAL_BYTES_PER_ROW, _list_operation_tables())
    if not found:
        return Finding(Severity.GREEN, "No operation has a table yet.")
    [(table, wal)], settings = found, _read_wal_settings()
    told = f"A run over {table} would write about {format_size(wal)}; max_wal_size is {settings.told}."
    # However much is written: a checkpoint comes by the clock too, and is spread, so that nobody feels it.
    need = 2 * min(wal, _MAX_WAL_RATE * settings.timeout)
    asked = max(settings.room, round_up_to_gigabytes(need) * _GB if need > settings.room else 0)
    free, growth = get_database_free_bytes(context), settings.growth(asked)
    if free is not None and free < growth:
        return _report_disk_shortage(told, growth, free, free < settings.growth(settings.room))
    return (
        Finding(Severity.GREEN, told) if need <= settings.room else _suggest_max_wal_size(told, asked // _GB)
    )


def _read_wal_settings() -> _WalSettings:
    told, room, timeout = fetch_all(_SETTINGS_SQL)[0]
    return _WalSettings(told, room, timeout, read_wal_size())


def _suggest_max_wal_size(told: str, asked: int) -> Finding:
    details = (
        "Checkpoints would be forced, and players who commit meanwhile wait for a third of a second.",
        f"The WAL may then take {asked} GB of its disk.",
    )
    return Finding(Severity.YELLOW, told, details, (_alter_system_command(asked),))


def _report_disk_shortage(told: str, growth: int, free: int, already: bool) -> Finding:
    """More WAL is no help where its disk has no room for it; ``already`` not for what it may take now."""
    detail = f"The WAL may take {format_size(growth)} more of its disk, which has {format_size(free)} free."
    severity = Severity.RED if already else Severity.YELLOW
    return Finding(severity, told, (detail,), (f"Make room first: {format_size(growth)} should be free.",))


def round_up_to_gigabytes(need: int) -> int:
    """The next power of two that holds so many bytes."""
    return 1 << (-(-need // _GB) - 1).bit_length()


def _list_operation_tables() -> list[str]:
    """Those that operations change. The revert's own is that of the run that it takes back."""
    declared = (each for each in registry.list_operations() if each.example is not None)
    return sorted({each.model._meta.db_table for each in declared})


def _alter_system_command(asked: int) -> str:
    """Two commands, since ALTER SYSTEM stands in no transaction with another."""
    return psql_command(f"ALTER SYSTEM SET max_wal_size = '{asked}GB'", "SELECT pg_reload_conf()")
