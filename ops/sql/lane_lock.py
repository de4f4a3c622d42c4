"""The beginning of a batch, in one round trip."""

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
# The state is read by a statement of its own after the lane is locked: whoever pauses a run moves its state,
# then takes every lane.
_LOCK_LANE_SQL = f"""
{BATCH_SETTINGS_SQL}
SELECT {", ".join(_LANE_COLUMNS)} FROM {Lane._meta.db_table} WHERE run_id = %s AND NOT finished
    ORDER BY id IS DISTINCT FROM %s, heartbeat_at NULLS FIRST, number LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED;
SELECT state, sweep,
    held_until > clock_timestamp() AND (held_for IS NULL OR held_until <= clock_timestamp() + held_for)
    FROM {Run._meta.db_table} WHERE id = %s
"""  # noqa: S608


def lock_lane(
    run: Run, preferred: Lane | None, lock_timeout: timedelta, ahead: CompiledStatement | None
) -> tuple[Lane | None, Any]:
    """Lock an unfinished lane that nobody else holds, the preferred one if it is free; read the run's state.

    Returns the lane, and the row that ``ahead`` finds. In a transaction, which gets the settings of a batch.
    Raises Held.
    """
    statement, params = (f"{_LOCK_LANE_SQL};{ahead.sql}", ahead.params) if ahead else (_LOCK_LANE_SQL, ())
    settings = batch_settings_params(run, preferred, lock_timeout)
    with connection.cursor() as cursor:
        cursor.execute(statement, [*settings, run.pk, preferred.pk if preferred else None, run.pk, *params])
        cursor.nextset()
        cursor.nextset()
        found = cursor.fetchone()
        cursor.nextset()
        told = cursor.fetchone()
        if told is None:
            raise RunLost(run.pk)
        run.state, run.sweep, held = told
        seen = cursor.fetchone() if ahead and cursor.nextset() else None
    if held and run.state == State.RUNNING:
        raise RunHeld
    if found is None:
        return None, seen
    lane = Lane.from_db(connection.alias, _LANE_COLUMNS, found)
    lane.run = run
    return lane, seen
