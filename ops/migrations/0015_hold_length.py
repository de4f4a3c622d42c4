from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ops", "0014_failures_to_retry")]

    operations = [
        migrations.AddField(
            model_name="run",
            name="held_for",
            field=models.DurationField(
                help_text="How long that was to be: what is farther from now was told by another clock.",
                null=True,
            ),
        ),
    ]
