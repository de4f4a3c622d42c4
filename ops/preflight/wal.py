"""Room for WAL: whether a run over the largest table would force checkpoints under the players."""

from __future__ import annotations

from dataclasses import dataclass

from ops import registry, words
from ops.preflight.finding import Finding, Light, Situation
from ops.sql.ask import ask
from ops.typed import psql

# With forced checkpoints a million rows on 630 MB of pages wrote 1.6 GB, 100 MB a second; with room 1.1 GB.
_ROW = 1_000  # bytes of WAL: its new version, its audit row and that one's index entries
_SPEED = 100 * 10**6  # bytes of WAL a second, at most
_GB = 2**30

_TABLES = """
SELECT c.relname, greatest(reltuples, n_live_tup, 0)::bigint * %s + pg_relation_size(c.oid) AS wal
FROM pg_class c LEFT JOIN pg_stat_user_tables ON relid = c.oid
WHERE c.relname = ANY(%s) AND pg_table_is_visible(c.oid) ORDER BY wal DESC LIMIT 1
"""
_SETTINGS = """
SELECT current_setting('max_wal_size'), pg_size_bytes(current_setting('max_wal_size')),
    extract(epoch FROM current_setting('checkpoint_timeout')::interval)::int
"""


@dataclass(frozen=True)
class _Settings:
    """max_wal_size as PostgreSQL tells it and in bytes, and the seconds between two checkpoints."""

    told: str
    room: int
    timeout: int


def room_for_wal(situation: Situation) -> Finding:
    """Once half of max_wal_size is written a checkpoint begins; who commits while it syncs, waits."""
    found = ask(_TABLES, _ROW, _tables())
    if not found:
        return Finding(Light.GREEN, "No operation has a table yet.")
    [(table, wal)], settings = found, _Settings(*ask(_SETTINGS)[0])
    told = f"A run over {table} would write about {words.size(wal)}; max_wal_size is {settings.told}."
    # However much is written: a checkpoint comes by the clock too, and is spread, so that nobody feels it.
    need = 2 * min(wal, _SPEED * settings.timeout)
    if need <= settings.room:
        return Finding(Light.GREEN, told)
    asked = gigabytes(need)
    details = (
        "Checkpoints would be forced, and players who commit meanwhile wait for a third of a second.",
        f"The WAL may then take {asked} GB of its disk.",
    )
    return Finding(Light.YELLOW, told, details, (_psql(asked),))


def gigabytes(need: int) -> int:
    """The next power of two that holds so many bytes."""
    return 1 << (-(-need // _GB) - 1).bit_length()


def _tables() -> list[str]:
    """Those that operations change. The revert's own is that of the run that it takes back."""
    declared = (each for each in registry.all_operations() if each.example is not None)
    return sorted({each.model._meta.db_table for each in declared})


def _psql(asked: int) -> str:
    """Two commands, since ALTER SYSTEM stands in no transaction with another."""
    return psql(f"ALTER SYSTEM SET max_wal_size = '{asked}GB'", "SELECT pg_reload_conf()")
