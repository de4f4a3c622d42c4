"""Room for WAL: whether a run over the largest table would force checkpoints under the players."""

from __future__ import annotations

from dataclasses import dataclass

from ops import registry, words
from ops.disk import wal_taken
from ops.preflight.finding import Finding, Light, Situation
from ops.preflight.space import free_of
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


def room_for_wal(situation: Situation) -> Finding:
    """Once half of max_wal_size is written a checkpoint begins; who commits while it syncs, waits."""
    found = ask(_TABLES, _ROW, _tables())
    if not found:
        return Finding(Light.GREEN, "No operation has a table yet.")
    [(table, wal)], settings = found, _settings()
    told = f"A run over {table} would write about {words.size(wal)}; max_wal_size is {settings.told}."
    # However much is written: a checkpoint comes by the clock too, and is spread, so that nobody feels it.
    need = 2 * min(wal, _SPEED * settings.timeout)
    asked = max(settings.room, gigabytes(need) * _GB if need > settings.room else 0)
    free, growth = free_of(situation), settings.growth(asked)
    if free is not None and free < growth:
        return _no_room(told, growth, free, free < settings.growth(settings.room))
    return Finding(Light.GREEN, told) if need <= settings.room else _more_wal(told, asked // _GB)


def _settings() -> _Settings:
    told, room, timeout = ask(_SETTINGS)[0]
    return _Settings(told, room, timeout, wal_taken())


def _more_wal(told: str, asked: int) -> Finding:
    details = (
        "Checkpoints would be forced, and players who commit meanwhile wait for a third of a second.",
        f"The WAL may then take {asked} GB of its disk.",
    )
    return Finding(Light.YELLOW, told, details, (_psql(asked),))


def _no_room(told: str, growth: int, free: int, already: bool) -> Finding:
    """More WAL is no help where its disk has no room for it; ``already`` not for what it may take now."""
    detail = f"The WAL may take {words.size(growth)} more of its disk, which has {words.size(free)} free."
    light = Light.RED if already else Light.YELLOW
    return Finding(light, told, (detail,), (f"Make room first: {words.size(growth)} should be free.",))


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
