import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

# The owner's rights: a player who may write a table may have no right to write ops_column_writer. It never
# waits: who holds the lock is recording the same name. Above READ COMMITTED an UPDATE could fail with a
# serialization error, so there a row is added.
RECORDER = """
CREATE FUNCTION ops_record_column_writer(changed text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    writer text := current_setting('application_name');
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        INSERT INTO ops_column_writer (change, application_name) VALUES (changed, writer);
        RETURN;
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtext('ops_column_writer'), hashtext(changed || ' ' || writer)) THEN
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM ops_column_writer w WHERE w.change = changed AND w.application_name = writer)
        AND (SELECT count(*) FROM ops_column_writer w WHERE w.change = changed) >= 100
    THEN
        writer := '(others)';
        IF NOT pg_try_advisory_xact_lock(hashtext('ops_column_writer'), hashtext(changed || ' ' || writer)) THEN
            RETURN;
        END IF;
    END IF;
    UPDATE ops_column_writer w SET last_written_at = now()
        WHERE w.change = changed AND w.application_name = writer AND w.last_written_at < now() - interval '55 s';
    IF NOT FOUND THEN
        INSERT INTO ops_column_writer (change, application_name) SELECT changed, writer WHERE NOT EXISTS
            (SELECT FROM ops_column_writer w WHERE w.change = changed AND w.application_name = writer);
    END IF;
END $$
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
        migrations.RunSQL(RECORDER, reverse_sql="DROP FUNCTION ops_record_column_writer(text)"),
    ]
