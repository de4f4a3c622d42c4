import django.db.models.deletion
from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

# With the owner's rights, and pg_temp last in its search_path, as card_search_keep. A new card has rows only where
# somebody deleted one of the same key without triggers. So its rows are tried without ON CONFLICT first, which
# would double their time: 5 instead of 9 microseconds a card.
KEEP = """
DO $do$ BEGIN EXECUTE format($sql$
CREATE FUNCTION card_tags_keep() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = %I, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        BEGIN
            INSERT INTO card_tags (tag, card_id)
                SELECT DISTINCT tag, id FROM new_cards, unnest(tags) AS tag ORDER BY tag, id;
        EXCEPTION WHEN unique_violation THEN
            DELETE FROM card_tags USING new_cards WHERE card_tags.card_id = new_cards.id;
            INSERT INTO card_tags (tag, card_id) SELECT DISTINCT unnest(tags), id FROM new_cards;
        END;
    ELSIF TG_OP = 'UPDATE' THEN
        DELETE FROM card_tags WHERE card_id = OLD.id AND tag = ANY (OLD.tags);
        INSERT INTO card_tags (tag, card_id) SELECT DISTINCT unnest(NEW.tags), NEW.id ON CONFLICT DO NOTHING;
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM card_tags USING (SELECT DISTINCT unnest(tags) AS tag, id FROM old_cards) AS gone
            WHERE card_tags.tag = gone.tag AND card_id = gone.id;
    ELSE
        DELETE FROM card_tags;
    END IF;
    RETURN NULL;
END $$
$sql$, current_schema()); END $do$
"""
# An update of other columns, as a promotion, fires none of these.
TRIGGERS = """
CREATE TRIGGER card_tags_insert AFTER INSERT ON cards REFERENCING NEW TABLE AS new_cards
    FOR EACH STATEMENT EXECUTE FUNCTION card_tags_keep();
CREATE TRIGGER card_tags_update AFTER UPDATE OF id, tags ON cards FOR EACH ROW
    WHEN (OLD.id IS DISTINCT FROM NEW.id OR OLD.tags IS DISTINCT FROM NEW.tags)
    EXECUTE FUNCTION card_tags_keep();
CREATE TRIGGER card_tags_delete AFTER DELETE ON cards REFERENCING OLD TABLE AS old_cards
    FOR EACH STATEMENT EXECUTE FUNCTION card_tags_keep();
CREATE TRIGGER card_tags_truncate AFTER TRUNCATE ON cards
    FOR EACH STATEMENT EXECUTE FUNCTION card_tags_keep();
"""
DROP_TRIGGERS = """
DROP TRIGGER card_tags_insert ON cards;
DROP TRIGGER card_tags_update ON cards;
DROP TRIGGER card_tags_delete ON cards;
DROP TRIGGER card_tags_truncate ON cards;
DROP FUNCTION card_tags_keep();
"""
# Some 20 milliseconds. The lock lets nobody change the tags between their reading and the new rows: the trigger
# would not see rows that are not committed, and leave the old tags beside the new ones.
FILL_BATCH = """
WITH batch AS (
    SELECT id, tags FROM cards WHERE id > %s ORDER BY id LIMIT 2000 FOR NO KEY UPDATE
), filled AS (
    INSERT INTO card_tags (tag, card_id) SELECT DISTINCT unnest(tags), id FROM batch ON CONFLICT DO NOTHING
)
SELECT max(id) FROM batch
"""


def fill(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Add the cards from before the triggers, each batch in a transaction of its own."""
    last = -(2**63)
    with schema_editor.connection.cursor() as cursor:
        while last is not None:
            cursor.execute(FILL_BATCH, [last])
            (last,) = cursor.fetchone()
        cursor.execute("ANALYZE card_tags")


class Migration(migrations.Migration):
    """The tags of the cards in a table of their own: an index on cards would cost every promotion."""

    atomic = False  # The batches are committed one by one.

    dependencies = [
        ("cards", "0009_card_search"),
    ]

    operations = [
        migrations.CreateModel(
            name="CardTag",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tag", "card_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("tag", models.CharField(db_collation="C", max_length=64)),
                (
                    "card",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="tag_rows",
                        to="cards.card",
                    ),
                ),
            ],
            options={
                "db_table": "card_tags",
                "default_permissions": (),
            },
        ),
        migrations.RunSQL(
            [KEEP, TRIGGERS],
            reverse_sql=DROP_TRIGGERS,
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
