from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("kyndo", "0001_groups")]
    operations = [
        migrations.CreateModel(
            name="LoginAttempts",
            fields=[
                ("key", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("count", models.PositiveIntegerField(default=0)),
                ("expires_at", models.DateTimeField(db_index=True)),
            ],
            options={"db_table": "login_attempts"},
        ),
    ]
