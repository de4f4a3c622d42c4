"""The statements that cost the most, as the extension pg_stat_statements counts them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from psycopg import sql

from ops.sql.ask import ask
from ops.typed import psql

NAME = "pg_stat_statements"
_TOP = """
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
class Missing:
    """Why there is nothing to tell, and what to type, in this order, so that there is."""

    why: str
    todo: tuple[str, ...]


def top_statements(limit: int) -> list[Statement] | Missing:
    """The statements of this database that took the most time in all, the dearest first."""
    missing = _missing()
    if missing:
        return missing
    [(schema,)] = ask(
        "SELECT nspname FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = %s",
        NAME,
    )
    statement = sql.SQL(_TOP).format(view=sql.Identifier(schema, NAME)).as_string()
    return [
        Statement(query, calls, rows, timedelta(milliseconds=total), timedelta(milliseconds=mean))
        for query, calls, rows, total, mean in ask(statement, limit)
    ]


def _missing() -> Missing | None:
    [(available, loaded, created)] = ask(
        "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = %s),"
        " current_setting('pg_stat_statements.max', true) IS NOT NULL,"
        " EXISTS (SELECT FROM pg_extension WHERE extname = %s)",
        NAME,
        NAME,
    )
    if not available:
        return Missing(
            f"This server was installed without {NAME}, one of PostgreSQL's contrib modules.",
            ("Install them on the server (Debian: apt-get install postgresql-NN), and look again.",),
        )
    create = () if created else (f"psql \"$DATABASE_URL\" -c 'CREATE EXTENSION {NAME}'",)
    if not loaded:
        return Missing(f"The server was started without {NAME}.", (*_preload(), *create))
    return Missing(f"This database has no extension {NAME} yet.", create) if create else None


def _preload() -> tuple[str, ...]:
    listed = sql.SQL(", ").join(map(sql.Literal, [*_preloaded(), NAME])).as_string()
    return (
        psql(f"ALTER SYSTEM SET shared_preload_libraries = {listed}"),
        "Restart the server (docker compose restart postgres).",
    )


def _preloaded() -> list[str]:
    """What is preloaded now, as far as our role may see it."""
    if not ask("SELECT pg_has_role('pg_read_all_settings', 'MEMBER')")[0][0]:
        return []
    listed = str(ask("SHOW shared_preload_libraries")[0][0])
    return [name.strip().strip('"') for name in listed.split(",") if name.strip()]
