"""The server: who holds a snapshot or locks for long, and whether its standbys and slots follow."""

from __future__ import annotations

from datetime import timedelta

from psycopg import sql

from ops import words
from ops.preflight.finding import Finding, Light, Situation, worst
from ops.sql.ask import ask
from ops.typed import psql

_LONG, _TOO_LONG = timedelta(minutes=1), timedelta(minutes=10)
_LAG, _TOO_FAR = 2**24, 2**28  # bytes of WAL
_QUERY = 60  # characters of a statement that are told

_TRANSACTIONS = """
SELECT pid, coalesce(nullif(application_name, ''), usename, backend_type), state, now() - xact_start,
    left(regexp_replace(query, '\\s+', ' ', 'g'), %s)
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND now() - xact_start >= %s
ORDER BY xact_start
"""
_PREPARED = """
SELECT gid, owner, now() - prepared FROM pg_prepared_xacts
WHERE database = current_database() ORDER BY prepared
"""
_STANDBYS = """
SELECT coalesce(nullif(application_name, ''), 'a standby'), state,
    pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint, replay_lag
FROM pg_stat_replication ORDER BY 1
"""
_SLOTS = """
SELECT slot_name, active, wal_status, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint
FROM pg_replication_slots WHERE NOT temporary ORDER BY 1
"""


def long_transactions(situation: Situation) -> Finding:
    """Any schema change waits for them, and everybody else then waits for the schema change."""
    found = ask(_TRANSACTIONS, _QUERY, _LONG)
    if not found:
        return Finding(Light.GREEN, f"None is older than {words.duration(_LONG)}.")
    details = tuple(
        f"process {pid} ({name}, {state}), {words.duration(age)}: {query}"
        for pid, name, state, age, query in found
    )
    light = Light.RED if found[0][3] >= _TOO_LONG else Light.YELLOW
    end = " ".join(f"SELECT pg_terminate_backend({pid});" for pid, *_ in found)
    todo = ("Wait for them, or end them:", psql(end))
    told = f"{words.plural(len(found), 'transaction')} older than {words.duration(_LONG)}."
    return Finding(light, told, details, todo)


def prepared_transactions(situation: Situation) -> Finding:
    """They hold their locks through restarts, until somebody ends them."""
    found = ask(_PREPARED)
    if not found:
        return Finding(Light.GREEN, "No prepared transaction holds locks.")
    details = tuple(f"{gid}, of {owner}, {words.duration(age)} ago" for gid, owner, age in found)
    ends = [sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)).as_string() for gid, *_ in found]
    todo = tuple(f"{psql(end)}, or COMMIT PREPARED" for end in ends)
    told = f"{words.plural(len(found), 'prepared transaction')} will hold its locks until it is ended."
    return Finding(Light.RED, told, details, todo)


def replication(situation: Situation) -> Finding:
    if ask("SELECT pg_is_in_recovery()")[0][0]:
        todo = ("Point DATABASE_URL at the primary.",)
        return Finding(Light.RED, "This server is a standby, which nobody can write.", todo=todo)
    standbys, slots = ask(_STANDBYS), ask(_SLOTS)
    if not standbys and not slots:
        return Finding(Light.GREEN, "No standby and no replication slot.")
    judged = [_standby(*row) for row in standbys] + [_slot(*row) for row in slots]
    light = worst(*(light for light, _ in judged))
    mend = ("Let the standbys catch up; drop slots that nobody reads.",)
    told = f"{words.plural(len(standbys), 'standby', 'standbys')}, {words.plural(len(slots), 'slot')}."
    return Finding(light, told, tuple(text for _, text in judged), mend if light != Light.GREEN else ())


def _standby(name: str, state: str | None, behind: int | None, lag: timedelta | None) -> tuple[Light, str]:
    if behind is None:
        return Light.YELLOW, f"{name}: its lag is not shown to us (GRANT pg_monitor TO our role)"
    late = f", {words.duration(lag)} late" if lag else ""
    light = Light.YELLOW if state != "streaming" else Light.GREEN
    return worst(light, _far(behind)), f"{name}: {state}, {words.size(behind)} behind{late}"


def _slot(name: str, active: bool, status: str | None, kept: int | None) -> tuple[Light, str]:
    told = f"slot {name}: {'in use' if active else 'nobody reads it'}, keeps {words.size(kept or 0)} of WAL"
    if status in ("unreserved", "lost"):
        return Light.RED, f"{told} and is {status}"
    return worst(Light.GREEN if active else Light.YELLOW, _far(kept or 0)), told


def _far(behind: int) -> Light:
    return Light.RED if behind >= _TOO_FAR else Light.YELLOW if behind >= _LAG else Light.GREEN
