"""The beginning of a batch, in one round trip."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import connection

from ops.db import BATCH_SETTINGS, batch_settings
from ops.exceptions import Held
from ops.lost import lost
from ops.models import Lane, Run
from ops.sql.compile import Compiled
from ops.states import State

_COLUMNS = [field.attname for field in Lane._meta.concrete_fields]
# The state is read by a statement of its own after the lane is locked: whoever pauses a run moves its state,
# then takes every lane.
_BEGIN = f"""
{BATCH_SETTINGS}
SELECT {", ".join(_COLUMNS)} FROM {Lane._meta.db_table} WHERE run_id = %s AND NOT finished
    ORDER BY id IS DISTINCT FROM %s, heartbeat_at NULLS FIRST, number LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED;
SELECT state, sweep,
    held_until > clock_timestamp() AND (held_for IS NULL OR held_until <= clock_timestamp() + held_for)
    FROM {Run._meta.db_table} WHERE id = %s
"""  # noqa: S608


def begin(
    run: Run, preferred: Lane | None, lock_timeout: timedelta, ahead: Compiled | None
) -> tuple[Lane | None, Any]:
    """Lock an unfinished lane that nobody else holds, the preferred one if it is free; read the run's state.

    Returns the lane, and the row that ``ahead`` finds. In a transaction, which gets the settings of a batch.
    Raises Held.
    """
    statement, params = (f"{_BEGIN};{ahead.sql}", ahead.params) if ahead else (_BEGIN, ())
    settings = batch_settings(run, preferred, lock_timeout)
    with connection.cursor() as cursor:
        cursor.execute(statement, [*settings, run.pk, preferred.pk if preferred else None, run.pk, *params])
        cursor.nextset()
        cursor.nextset()
        found = cursor.fetchone()
        cursor.nextset()
        told = cursor.fetchone()
        if told is None:
            raise lost(run)
        run.state, run.sweep, held = told
        seen = cursor.fetchone() if ahead and cursor.nextset() else None
    if held and run.state == State.RUNNING:
        raise Held
    if found is None:
        return None, seen
    lane = Lane.from_db(connection.alias, _COLUMNS, found)
    lane.run = run
    return lane, seen
