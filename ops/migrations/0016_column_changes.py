import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

# A trigger function. The triggers of dual writes call it at most once a second for each session and name: their
# WHEN compares the first setting (ops/sql/watched_column_triggers.py). It writes at most once a minute. It never
# waits, and never fails a player:
# - With the owner's rights, since a player who may write a table may have none on this one. pg_temp is last in
#   its search_path, so that nobody's temporary table takes the place of ours.
# - It only adds rows, and removes older rows of others that nobody has locked. Who holds the advisory lock is
#   recording the same name in the same minute; a transaction that stays open holds up no later minute.
# - Above READ COMMITTED a DELETE could fail with a serialization error, and what a SERIALIZABLE transaction
#   reads could make it fail: there it adds the row, and no more.
# - lock_timeout is for a lock on the whole table, and the exception for whatever else may be wrong.
RECORDER = """
DO $do$ BEGIN EXECUTE format($sql$
CREATE FUNCTION ops_record_column_writer() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = %I, pg_temp SET lock_timeout = '1ms' AS $$
DECLARE
    writer text := current_setting('application_name');
    minute text := left(now()::text, 16) || writer;
    changed text := TG_ARGV[0];
    isolation text := current_setting('transaction_isolation');
BEGIN
    IF current_setting('ops.dual_write', true) = 'off' THEN
        RETURN NEW;
    END IF;
    PERFORM set_config('ops.writer_' || changed, CURRENT_TIME(0)::text || writer, false);
    IF current_setting('ops.writer_minute_' || changed, true) = minute THEN
        RETURN NEW;
    END IF;
    PERFORM set_config('ops.writer_minute_' || changed, minute, false);
    BEGIN
        IF isolation <> 'serializable' AND (SELECT count(DISTINCT application_name) FILTER
            (WHERE application_name <> writer) FROM ops_column_writer WHERE change = changed) >= 100
            AND NOT EXISTS (SELECT FROM ops_column_writer WHERE change = changed AND application_name = writer)
        THEN
            writer := '(others)';
        END IF;
        IF NOT pg_try_advisory_xact_lock(hashtext('ops_column_writer'),
            hashtext(changed || ' ' || floor(date_part('epoch', now()) / 60)::text || ' ' || writer))
        THEN
            RETURN NEW;
        END IF;
        IF isolation <> 'serializable' AND EXISTS (SELECT FROM ops_column_writer WHERE change = changed
            AND application_name = writer AND last_written_at > now() - interval '55 s')
        THEN
            RETURN NEW;
        END IF;
        INSERT INTO ops_column_writer (change, application_name) VALUES (changed, writer);
        IF isolation = 'read committed' THEN
            DELETE FROM ops_column_writer WHERE id IN (SELECT id FROM ops_column_writer o WHERE change = changed
                AND EXISTS (SELECT FROM ops_column_writer n WHERE n.change = changed
                    AND n.application_name = o.application_name AND n.last_written_at > o.last_written_at)
                LIMIT 1000 FOR UPDATE SKIP LOCKED);
        END IF;
    EXCEPTION WHEN OTHERS THEN
        RAISE LOG 'ops_record_column_writer: %%', SQLERRM;
    END;
    RETURN NEW;
END $$
$sql$, current_schema()); END $do$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("ops", "0015_hold_length"),
    ]

    operations = [
        migrations.CreateModel(
            name="ColumnWriter",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("change", models.CharField(max_length=64)),
                ("application_name", models.CharField(max_length=64)),
                (
                    "last_written_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
            options={
                "db_table": "ops_column_writer",
                "indexes": [models.Index(fields=["change", "application_name"], name="idx_column_writer")],
            },
        ),
        migrations.CreateModel(
            name="ColumnChangeEvent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("change", models.CharField(max_length=64)),
                ("step", models.CharField(max_length=16)),
                ("is_back", models.BooleanField(db_default=False, default=False)),
                ("performed_by", models.CharField(max_length=150)),
                ("reason", models.TextField(blank=True, db_default="")),
                ("details", models.JSONField(db_default={}, default=dict)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "run",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        to="ops.run",
                    ),
                ),
            ],
            options={
                "db_table": "ops_column_change_event",
                "indexes": [models.Index(fields=["change", "id"], name="idx_column_change_event")],
            },
        ),
        migrations.RunSQL(RECORDER, reverse_sql="DROP FUNCTION ops_record_column_writer()"),
    ]
