"""Record how a run advances, beside its batches: at most once a second, and at most MAX_SAMPLES a run."""

from __future__ import annotations

from django.db import connection, transaction

from ops.models import Lane, Run, Sample

MAX_SAMPLES = 200

# The longer a run works, the rarer its samples: the first MAX_SAMPLES are a second apart, and after each
# thinning so far apart as those that are left. A time in the future is of a clock that was set back.
_RECORD_SQL = f"""
WITH before AS (
    SELECT min(taken_at) AS first, max(taken_at) AS newest, count(*) AS samples
    FROM {Sample._meta.db_table} WHERE run_id = %s),
added AS (
    INSERT INTO {Sample._meta.db_table} (run_id, taken_at, changed, batches, busy, wal)
    SELECT %s, clock_timestamp(), sum(changed), sum(batches), sum(busy), pg_current_wal_lsn() - '0/0'::pg_lsn
    FROM {Lane._meta.db_table}, before WHERE run_id = %s
    GROUP BY before.newest, before.first
    HAVING before.newest IS NULL OR %s OR before.newest > clock_timestamp()
        OR clock_timestamp() - before.newest >= greatest('0.9 s', (before.newest - before.first) / %s)
    RETURNING 1)
SELECT samples + (SELECT count(*) FROM added) FROM before
"""  # noqa: S608
_THIN_SQL = f"""
DELETE FROM {Sample._meta.db_table} WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER (ORDER BY id) AS number FROM {Sample._meta.db_table} WHERE run_id = %s
    ) AS numbered WHERE number %% 2 = 0)
"""  # noqa: S608


def record_sample(run: Run, *, is_last: bool = False) -> None:
    """Record a sample if the newest one is old enough, or the process leaves the run."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_RECORD_SQL, [run.pk, run.pk, run.pk, is_last, MAX_SAMPLES // 2])
        [samples] = cursor.fetchone()
        if samples >= MAX_SAMPLES:
            cursor.execute(_THIN_SQL, [run.pk])
