from datetime import timedelta

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import F


def from_its_ends(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Of the runs before, only their beginning and their end are known."""
    runs = apps.get_model("ops", "Run").objects.using(schema_editor.connection.alias).exclude(started_at=None)
    runs.exclude(finished_at=None).update(worked=F("finished_at") - F("started_at"))
    runs.filter(finished_at=None).update(working_since=F("started_at"))


class Migration(migrations.Migration):
    dependencies = [
        ("ops", "0007_followups"),
    ]

    operations = [
        migrations.AddField(
            model_name="run",
            name="worked",
            field=models.DurationField(
                db_default=timedelta(), default=timedelta, help_text="How long it was running before that."
            ),
        ),
        migrations.AddField(
            model_name="run",
            name="working_since",
            field=models.DateTimeField(
                help_text="When it was last taken up, while it is running.", null=True
            ),
        ),
        migrations.RunPython(from_its_ends, migrations.RunPython.noop, elidable=True),
    ]
