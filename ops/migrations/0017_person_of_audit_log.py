from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # CREATE INDEX CONCURRENTLY refuses a transaction.

    dependencies = [("ops", "0016_column_changes")]

    operations = [
        AddIndexConcurrently(
            model_name="auditlog",
            index=models.Index(
                fields=["performed_by", "id"],
                name="idx_audit_logs_person",
                condition=models.Q(("run__isnull", True)),
            ),
        ),
    ]
