from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ops", "0009_run_without_backup_default")]

    operations = [
        migrations.AddField(
            model_name="backup",
            name="properties",
            field=models.JSONField(
                help_text="Owner, locale, settings and grants of the database.", null=True
            ),
        ),
    ]
