from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ops", "0010_backup_properties")]

    operations = [
        migrations.AddField(
            model_name="run",
            name="error_code",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Its SQLSTATE, or the name of its exception.",
                max_length=64,
            ),
        ),
    ]
