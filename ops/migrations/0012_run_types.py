from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ops", "0011_failures_kept")]

    operations = [
        migrations.AddField(
            model_name="run",
            name="types",
            field=models.JSONField(
                db_default={},
                default=dict,
                help_text="Column types when the run was created; empty where unknown.",
            ),
        ),
    ]
