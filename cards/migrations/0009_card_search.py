import django.db.models.deletion
from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

# The only place that knows how a text is folded: a query is folded by the same function. Without accents, in lower
# case, ligatures and full-width letters as plain ones, and letters with a stroke as people type them. What has no
# mark of this kind, as Hangul, is composed again. E'' does not depend on standard_conforming_strings, and in a
# database of another encoding than UTF-8, which cannot normalize, a text has as many characters as bytes: it is
# found in any case of ASCII letters. Most texts are ASCII, which takes a fifth of the time.
FOLD = r"""
CREATE FUNCTION card_search_fold(value text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    folded text;
    latin text;
BEGIN
    IF octet_length(value) = char_length(value) THEN
        RETURN lower(value COLLATE "C");
    END IF;
    folded := normalize(value, NFKD);
    latin := translate(folded, chr(768) || chr(769) || chr(770) || chr(771) || chr(776) || chr(778) || chr(807), '');
    IF octet_length(latin) = char_length(latin) THEN
        RETURN lower(latin COLLATE "C");
    END IF;
    folded := lower(regexp_replace(latin, E'[\\u0300-\\u036f\\u1ab0-\\u1aff\\u1dc0-\\u1dff'
        '\\u20d0-\\u20ff\\ufe20-\\ufe2f\\u0591-\\u05bd\\u05bf\\u05c1\\u05c2\\u05c4\\u05c5\\u064b-\\u065f\\u0670]',
        '', 'g'));
    IF octet_length(folded) = char_length(folded) THEN
        RETURN folded;
    END IF;
    folded := regexp_replace(folded, E'[\\u00d8\\u00f8]', 'o', 'g');
    folded := regexp_replace(folded, E'[\\u0141\\u0142]', 'l', 'g');
    folded := regexp_replace(folded, E'[\\u00d0\\u00f0\\u0110\\u0111]', 'd', 'g');
    folded := regexp_replace(folded, E'[\\u0126\\u0127]', 'h', 'g');
    folded := regexp_replace(folded, E'[\\u0166\\u0167]', 't', 'g');
    folded := regexp_replace(folded, E'[\\u0131]', 'i', 'g');
    folded := regexp_replace(folded, E'[\\u00c6\\u00e6]', 'ae', 'g');
    folded := regexp_replace(folded, E'[\\u0152\\u0153]', 'oe', 'g');
    folded := regexp_replace(folded, E'[\\u00df\\u1e9e]', 'ss', 'g');
    folded := regexp_replace(folded, E'[\\u00de\\u00fe]', 'th', 'g');
    RETURN normalize(folded, NFC);
END $$
"""
# With the owner's rights, since a player who may write cards may have none on this table; pg_temp is last in its
# search_path, so that nobody's temporary table takes the place of ours. A conflict is with the migration's own
# filling, which may have added the row just before.
KEEP = """
DO $do$ BEGIN EXECUTE format($sql$
CREATE FUNCTION card_search_keep() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = %I, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO card_search (card_id, text)
            SELECT id, card_search_fold(concat_ws(E'\\n', title, card_id, pack_id)) FROM new_cards
            ON CONFLICT (card_id) DO UPDATE SET text = EXCLUDED.text;
    ELSIF TG_OP = 'UPDATE' THEN
        UPDATE card_search SET card_id = NEW.id,
            text = card_search_fold(concat_ws(E'\\n', NEW.title, NEW.card_id, NEW.pack_id))
            WHERE card_id = OLD.id;
        IF NOT FOUND THEN
            INSERT INTO card_search (card_id, text)
                VALUES (NEW.id, card_search_fold(concat_ws(E'\\n', NEW.title, NEW.card_id, NEW.pack_id)))
                ON CONFLICT (card_id) DO UPDATE SET text = EXCLUDED.text;
        END IF;
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM card_search USING old_cards WHERE card_search.card_id = old_cards.id;
    ELSE
        DELETE FROM card_search;
    END IF;
    RETURN NULL;
END $$
$sql$, current_schema()); END $do$
"""
# An update of other columns, as a promotion, fires none of these. New and deleted cards come as a set: a load of a
# million calls the function once.
TRIGGERS = """
CREATE TRIGGER card_search_insert AFTER INSERT ON cards REFERENCING NEW TABLE AS new_cards
    FOR EACH STATEMENT EXECUTE FUNCTION card_search_keep();
CREATE TRIGGER card_search_update AFTER UPDATE OF id, title, card_id, pack_id ON cards FOR EACH ROW
    WHEN (OLD.id IS DISTINCT FROM NEW.id OR OLD.title IS DISTINCT FROM NEW.title
        OR OLD.card_id IS DISTINCT FROM NEW.card_id OR OLD.pack_id IS DISTINCT FROM NEW.pack_id)
    EXECUTE FUNCTION card_search_keep();
CREATE TRIGGER card_search_delete AFTER DELETE ON cards REFERENCING OLD TABLE AS old_cards
    FOR EACH STATEMENT EXECUTE FUNCTION card_search_keep();
CREATE TRIGGER card_search_truncate AFTER TRUNCATE ON cards
    FOR EACH STATEMENT EXECUTE FUNCTION card_search_keep();
"""
DROP_TRIGGERS = """
DROP TRIGGER card_search_insert ON cards;
DROP TRIGGER card_search_update ON cards;
DROP TRIGGER card_search_delete ON cards;
DROP TRIGGER card_search_truncate ON cards;
DROP FUNCTION card_search_keep();
DROP FUNCTION card_search_fold(text);
"""
# A tenth of a second. The lock keeps a card from being deleted between its reading and the new row, which would
# then be left alone; players can update the card meanwhile.
FILL_BATCH = """
WITH batch AS (
    SELECT id, title, card_id, pack_id FROM cards WHERE id > %s ORDER BY id LIMIT 5000 FOR KEY SHARE
), filled AS (
    INSERT INTO card_search (card_id, text)
    SELECT id, card_search_fold(concat_ws(E'\\n', title, card_id, pack_id)) FROM batch
    ON CONFLICT (card_id) DO NOTHING
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
        cursor.execute("ANALYZE card_search")


class Migration(migrations.Migration):
    """What a card is found by, in a table of its own: an index of texts on cards would halve a promotion."""

    atomic = False  # The batches are committed one by one.

    dependencies = [
        ("cards", "0008_rarity_v2_expand"),
    ]

    operations = [
        migrations.CreateModel(
            name="CardSearch",
            fields=[
                (
                    "card",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="search",
                        serialize=False,
                        to="cards.card",
                    ),
                ),
                ("text", models.TextField(db_collation="C")),
            ],
            options={
                "db_table": "card_search",
                "default_permissions": (),
            },
        ),
        migrations.RunSQL(
            [FOLD, KEEP, TRIGGERS],
            reverse_sql=DROP_TRIGGERS,
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
