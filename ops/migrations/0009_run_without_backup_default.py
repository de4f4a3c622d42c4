from django.db import migrations, models


class Migration(migrations.Migration):
    """Code that does not know the column can add runs."""

    dependencies = [("ops", "0008_time_worked")]

    operations = [
        migrations.AlterField(
            model_name="run",
            name="without_backup",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="The requirement of a fresh, verified backup was overridden.",
            ),
        ),
    ]
