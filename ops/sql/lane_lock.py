"""The beginning of a batch in one round trip: its settings, its lane, the run's state."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import connection

from ops.db import BATCH_SETTINGS_SQL, batch_settings_params
from ops.exceptions import RunHeld, RunLost
from ops.models import Lane, Run
from ops.sql.compile import CompiledStatement
from ops.states import State

_LANE_COLUMNS = [field.attname for field in Lane._meta.concrete_fields]
# A statement of its own reads the state, after the lane is locked: whoever pauses a run changes its state
# first, and then locks every lane.
_LOCK_LANE_SQL = f"""
{BATCH_SETTINGS_SQL}
SELECT {", ".join(_LANE_COLUMNS)} FROM {Lane._meta.db_table} WHERE run_id = %s AND NOT finished
    ORDER BY id IS DISTINCT FROM %s, heartbeat_at NULLS FIRST, number LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED;
SELECT state, sweep,
    held_until > clock_timestamp() AND (held_for IS NULL OR held_until <= clock_timestamp() + held_for)
    FROM {Run._meta.db_table} WHERE id = %s
"""  # noqa: S608


def lock_lane(
    run: Run, preferred: Lane | None, lock_timeout: timedelta, lookahead: CompiledStatement | None
) -> tuple[Lane | None, Any]:
    """Lock an unfinished lane that is free, the preferred one if possible; update the run's state and sweep.

    Returns the lane (None if none is free) and the row that ``lookahead`` selects. In a transaction, which
    gets the settings of a batch. Raises RunHeld, RunLost.
    """
    statement, params = _LOCK_LANE_SQL, ()
    if lookahead:
        statement, params = f"{_LOCK_LANE_SQL};{lookahead.sql}", lookahead.params
    settings = batch_settings_params(run, preferred, lock_timeout)
    with connection.cursor() as cursor:
        cursor.execute(statement, [*settings, run.pk, preferred.pk if preferred else None, run.pk, *params])
        cursor.nextset()
        cursor.nextset()
        lane_row = cursor.fetchone()
        cursor.nextset()
        run_row = cursor.fetchone()
        if run_row is None:
            raise RunLost(run.pk)
        run.state, run.sweep, is_held = run_row
        last_key = cursor.fetchone() if lookahead and cursor.nextset() else None
    if is_held and run.state == State.RUNNING:
        raise RunHeld
    if lane_row is None:
        return None, last_key
    lane = Lane.from_db(connection.alias, _LANE_COLUMNS, lane_row)
    lane.run = run
    return lane, last_key
