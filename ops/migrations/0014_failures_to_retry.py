from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ops", "0013_keys_by_unique_index")]

    operations = [
        migrations.AddField(
            model_name="failure",
            name="to_retry",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="The run was resumed since, and will try the row again.",
            ),
        ),
    ]
