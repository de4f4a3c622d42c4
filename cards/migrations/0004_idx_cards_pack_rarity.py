from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # CREATE INDEX CONCURRENTLY refuses a transaction.

    dependencies = [("cards", "0003_keep_rarity_equal")]

    operations = [
        AddIndexConcurrently(
            model_name="card",
            index=models.Index(fields=["pack_id", "rarity"], name="idx_cards_pack_rarity"),
        ),
    ]
