import pgtrigger.migrations
from django.db import migrations, models

from ops.column_changes.migration_operations import AddDualWrite, RecordStep
from ops.sql.dual_write import DualWrite

# RemoveTrigger leaves the functions of its triggers behind.
DROP_FUNCTIONS = """
DROP FUNCTION IF EXISTS pgtrigger_fill_rarity_v2_2ed0f();
DROP FUNCTION IF EXISTS pgtrigger_keep_rarity_equal_ef94f();
"""


class Migration(migrations.Migration):
    """The triggers of a column change replace those written by hand, in one transaction."""

    dependencies = [
        ("cards", "0007_split_keep_rarity_equal"),
        ("ops", "0016_column_changes"),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(model_name="card", name="fill_rarity_v2"),
        pgtrigger.migrations.RemoveTrigger(model_name="card", name="keep_rarity_equal"),
        migrations.RunSQL(DROP_FUNCTIONS, reverse_sql=migrations.RunSQL.noop),
        migrations.AlterField(
            model_name="card",
            name="rarity",
            field=models.CharField(db_default="common", max_length=32),
        ),
        migrations.AlterField(
            model_name="card",
            name="rarity_v2",
            field=models.CharField(blank=True, db_default=None, max_length=64, null=True),
        ),
        AddDualWrite(
            dual_write=DualWrite(
                change="rarity_v2",
                table="cards",
                old="rarity",
                new="rarity_v2",
                to_new="({old})::varchar",
                to_old="({new})::varchar",
                default="'common'",
            ),
        ),
        RecordStep(change="rarity_v2", step="expand"),
    ]
