"""Check max_wal_size: whether a run over the largest table would force checkpoints."""

from __future__ import annotations

from dataclasses import dataclass

from ops.command_lines import psql_command
from ops.disk import read_wal_size
from ops.formatting import format_size
from ops.operations import registry
from ops.preflight.finding import Finding, PreflightContext, Severity
from ops.preflight.space import get_database_free_bytes
from ops.sql.query import fetch_all

# Measured with a million rows on 630 MB of pages: 1.6 GB at 100 MB/s with forced checkpoints, else 1.1 GB.
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
    """max_wal_size as text and in bytes, checkpoint_timeout in seconds.

    ``used_bytes`` is the size of the WAL now; None if our role may not read it.
    """

    max_wal_size: str
    max_wal_bytes: int
    checkpoint_timeout: int
    used_bytes: int | None

    def remaining_growth(self, max_wal_bytes: int) -> int:
        """Bytes that the WAL may still take of its disk under this max_wal_size."""
        return max(0, max_wal_bytes - (self.used_bytes or 0))


def check_wal_room(context: PreflightContext) -> Finding:
    """A checkpoint begins once half of max_wal_size is written, and commits wait while it syncs."""
    tables = [model._meta.db_table for model in registry.list_operation_models()]
    rows = fetch_all(_LARGEST_TABLE_SQL, _WAL_BYTES_PER_ROW, tables)
    if not rows:
        return Finding(Severity.GREEN, "No operation has a table yet.")
    [(table, wal)], settings = rows, _read_wal_settings()
    message = (
        f"A run over {table} would write about {format_size(wal)}; max_wal_size is {settings.max_wal_size}."
    )
    # No more than this: a checkpoint by checkpoint_timeout resets the count, and is spread over time.
    need = 2 * min(wal, _MAX_WAL_RATE * settings.checkpoint_timeout)
    current = settings.max_wal_bytes
    suggested = max(current, round_up_to_gigabytes(need) * _GB if need > current else 0)
    free, growth = get_database_free_bytes(context), settings.remaining_growth(suggested)
    if free is not None and free < growth:
        return _report_disk_shortage(message, growth, free, free < settings.remaining_growth(current))
    return (
        Finding(Severity.GREEN, message)
        if need <= current
        else _suggest_max_wal_size(message, suggested // _GB)
    )


def _read_wal_settings() -> _WalSettings:
    max_wal_size, max_wal_bytes, checkpoint_timeout = fetch_all(_SETTINGS_SQL)[0]
    return _WalSettings(max_wal_size, max_wal_bytes, checkpoint_timeout, read_wal_size())


def _suggest_max_wal_size(message: str, gigabytes: int) -> Finding:
    details = (
        "Checkpoints would be forced. Players who commit during one wait about 0.3 s.",
        f"The WAL may then use {gigabytes} GB of its disk.",
    )
    return Finding(Severity.YELLOW, message, details, (_alter_system_command(gigabytes),))


def _report_disk_shortage(message: str, growth: int, free: int, already_short: bool) -> Finding:
    """The disk has no room for more WAL; ``already_short``: not even for the current max_wal_size."""
    detail = f"The WAL may use {format_size(growth)} more of its disk, which has {format_size(free)} free."
    severity = Severity.RED if already_short else Severity.YELLOW
    return Finding(severity, message, (detail,), (f"Make room first: {format_size(growth)} should be free.",))


def round_up_to_gigabytes(need: int) -> int:
    """Return the smallest power of two of gigabytes that holds ``need`` bytes."""
    return 1 << (-(-need // _GB) - 1).bit_length()


def _alter_system_command(gigabytes: int) -> str:
    """Two statements, since ALTER SYSTEM may not run in a transaction with another."""
    return psql_command(f"ALTER SYSTEM SET max_wal_size = '{gigabytes}GB'", "SELECT pg_reload_conf()")
