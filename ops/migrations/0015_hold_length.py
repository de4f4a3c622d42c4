from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ops", "0014_failures_to_retry")]

    operations = [
        migrations.AddField(
            model_name="run",
            name="held_for",
            field=models.DurationField(
                help_text="Length of the hold: a held_until farther from now is of a clock that was set back.",
                null=True,
            ),
        ),
    ]
