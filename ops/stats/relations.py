"""Sizes of tables and indexes, dead rows, and the indexes that no query uses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ops.sql.query import fetch_all

_TABLES = """
SELECT relname, n_live_tup, n_dead_tup, pg_total_relation_size(relid), pg_indexes_size(relid),
    greatest(last_autovacuum, last_vacuum), greatest(last_autoanalyze, last_analyze)
FROM pg_stat_user_tables WHERE schemaname = ANY (current_schemas(false)) AND pg_table_is_visible(relid)
ORDER BY pg_total_relation_size(relid) DESC, relname LIMIT %s
"""
_INDEXES = """
SELECT indexrelname, relname, pg_relation_size(s.indexrelid), idx_scan,
    idx_scan = 0 AND NOT indisunique AND NOT EXISTS (
        SELECT FROM pg_constraint WHERE conindid = s.indexrelid)
FROM pg_stat_user_indexes s JOIN pg_index USING (indexrelid)
WHERE schemaname = ANY (current_schemas(false)) AND pg_table_is_visible(relid) ORDER BY 3 DESC, 1
"""


@dataclass(frozen=True)
class Table:
    """``live`` and ``dead`` are estimates of rows. Sizes are in bytes; ``size`` includes the indexes."""

    name: str
    live: int
    dead: int
    size: int
    indexes: int
    vacuumed_at: datetime | None
    analyzed_at: datetime | None


@dataclass(frozen=True)
class Index:
    """``size`` is in bytes; ``unused``: not read since the statistics were reset, needed by no constraint."""

    name: str
    table: str
    size: int
    scans: int
    unused: bool


def fetch_largest_tables(limit: int) -> list[Table]:
    """Fetch at most ``limit`` tables of the search_path, the largest first."""
    return [Table(*row) for row in fetch_all(_TABLES, limit)]


def fetch_indexes() -> list[Index]:
    """Fetch the indexes of the search_path, the largest first."""
    return [Index(*row) for row in fetch_all(_INDEXES)]


def fetch_stats_reset() -> datetime | None:
    """Fetch the time of the last reset of the statistics; None where they were never reset."""
    [(since,)] = fetch_all("SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()")
    return since if isinstance(since, datetime) else None
