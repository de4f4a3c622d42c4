"""The most expensive statements, from the extension pg_stat_statements."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from psycopg import sql

from ops.command_lines import psql_command
from ops.sql.query import fetch_all, find_extension_schema

EXTENSION = "pg_stat_statements"
_TOP_STATEMENTS = """
SELECT regexp_replace(query, '\\s+', ' ', 'g'), calls, rows, total_exec_time, mean_exec_time
FROM {view} WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY total_exec_time DESC LIMIT %s
"""


@dataclass(frozen=True)
class Statement:
    query: str
    calls: int
    rows: int
    total: timedelta
    mean: timedelta


@dataclass(frozen=True)
class ExtensionMissing:
    """Why there are no statistics of statements, and the steps that enable them, in order."""

    why: str
    todo: tuple[str, ...]


def fetch_top_statements(limit: int) -> list[Statement] | ExtensionMissing:
    """Fetch the statements of this database with the greatest total time, the greatest first."""
    missing = _check_extension()
    if missing:
        return missing
    view = sql.Identifier(str(find_extension_schema(EXTENSION)), EXTENSION)
    statement = sql.SQL(_TOP_STATEMENTS).format(view=view).as_string()
    return [
        Statement(query, calls, rows, timedelta(milliseconds=total), timedelta(milliseconds=mean))
        for query, calls, rows, total, mean in fetch_all(statement, limit)
    ]


def _check_extension() -> ExtensionMissing | None:
    [(available, loaded, created)] = fetch_all(
        "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = %s),"
        " current_setting('pg_stat_statements.max', true) IS NOT NULL,"
        " EXISTS (SELECT FROM pg_extension WHERE extname = %s)",
        EXTENSION,
        EXTENSION,
    )
    if not available:
        return ExtensionMissing(
            f"This server was installed without {EXTENSION}, one of PostgreSQL's contrib modules.",
            (
                "Install PostgreSQL's contrib package on the server (Debian: apt-get install postgresql-NN).",
                "Run db_stats again.",
            ),
        )
    create = () if created else (psql_command(f"CREATE EXTENSION {EXTENSION}"),)
    if not loaded:
        return ExtensionMissing(f"The server was started without {EXTENSION}.", (*_preload_steps(), *create))
    return ExtensionMissing(f"This database has no extension {EXTENSION} yet.", create) if create else None


def _preload_steps() -> tuple[str, ...]:
    libraries = [*_read_preloaded_libraries(), EXTENSION]
    value = sql.SQL(", ").join(map(sql.Literal, libraries)).as_string()
    return (
        psql_command(f"ALTER SYSTEM SET shared_preload_libraries = {value}"),
        "Restart the server (docker compose restart postgres).",
    )


def _read_preloaded_libraries() -> list[str]:
    """Read shared_preload_libraries; empty where the role may not read the setting."""
    if not fetch_all("SELECT pg_has_role('pg_read_all_settings', 'MEMBER')")[0][0]:
        return []
    value = str(fetch_all("SHOW shared_preload_libraries")[0][0])
    return [name.strip().strip('"') for name in value.split(",") if name.strip()]
