"""The models of the catalogue: cards, presentation rules by rarity, and assets."""

from django.contrib.postgres.fields import ArrayField
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Now

from cards.constraints import (
    json_object_check,
    no_nulls_check,
    not_empty_check,
    regex_check,
    unique_constraint,
)


class Card(models.Model):
    card_id = models.CharField(
        max_length=128, help_text="Slug, for example águila-real; letters of any script."
    )
    title = models.CharField(max_length=255)
    description = models.TextField(blank=True, db_default="")
    image = models.CharField(max_length=1000, blank=True, db_default="", help_text="Storage name, or URL.")
    thumbnail = models.CharField(max_length=255, blank=True, db_default="", help_text="Storage name.")
    # Defaults of the database only, so that an INSERT leaves out what is not given, and the triggers of the
    # column change fill it from the other column. They hold the default of rarity.
    rarity = models.CharField(max_length=32, db_default="common")
    rarity_v2 = models.CharField(max_length=64, null=True, blank=True, db_default=None)
    pack_id = models.CharField(max_length=128)
    tags = ArrayField(models.CharField(max_length=64), default=list, blank=True, db_default=[])
    metadata = models.JSONField(default=dict, blank=True, db_default={})
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        db_table = "cards"
        constraints = [
            unique_constraint(
                "card_id", name="cards_card_id_unique", message="Another card has this card id."
            ),
            regex_check(
                r"^\S+$", "card_id", name="cards_card_id_no_space", message="A card id holds no spaces."
            ),
            not_empty_check("title", name="cards_title_not_empty"),
            not_empty_check("rarity", name="cards_rarity_not_empty"),
            not_empty_check("pack_id", name="cards_pack_id_not_empty"),
            no_nulls_check("tags", name="cards_tags_no_null"),
            json_object_check("metadata", name="cards_metadata_object"),
        ]
        indexes = [models.Index(fields=["pack_id", "rarity"], name="idx_cards_pack_rarity")]

    def __str__(self) -> str:
        return self.title


class CardSearch(models.Model):
    """The text by which a card is found: its title, card id and pack, folded. Triggers alone write it.

    The columns that the list of cards shows: a hit can be seen. No foreign key, which would lock each card
    that is loaded; the triggers delete the row (cards/migrations/0009).
    """

    card = models.OneToOneField(
        Card, models.DO_NOTHING, primary_key=True, db_constraint=False, related_name="search"
    )
    text = models.TextField(db_collation="C")

    class Meta:
        db_table = "card_search"
        default_permissions = ()

    def __str__(self) -> str:
        return self.text


class CardTag(models.Model):
    """A tag of a card, by which it is found: in the order of the list, whatever the tag. Triggers write it.

    An index on ``Card.tags`` would be written by every promotion.
    """

    pk = models.CompositePrimaryKey("tag", "card_id")
    tag = models.CharField(max_length=64, db_collation="C")
    card = models.ForeignKey(
        Card, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="tag_rows"
    )

    class Meta:
        db_table = "card_tags"
        default_permissions = ()

    def __str__(self) -> str:
        return self.tag


class PresentationRule(models.Model):
    """The style of the cards of one rarity. These rows, in sort order, are the valid rarities."""

    rarity = models.CharField(max_length=32)
    frame_color = models.CharField(
        max_length=7,
        help_text="Hexadecimal, for example #4A90E2.",
        validators=[
            RegexValidator(r"^#[0-9A-Fa-f]{6}\Z", "A frame color is hexadecimal, for example #4A90E2.")
        ],
    )
    glow_effect = models.BooleanField(default=False, db_default=False)
    badge_icon = models.CharField(max_length=64, blank=True, db_default="")
    sort_order = models.PositiveSmallIntegerField(help_text="The lowest is the most common.")
    metadata = models.JSONField(default=dict, blank=True, db_default={})
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        db_table = "presentation_rules"
        ordering = ["sort_order"]
        constraints = [
            unique_constraint(
                "rarity",
                name="presentation_rules_rarity_unique",
                message="There is already a rule for this rarity.",
            ),
            # Deferred, so that two rules can be swapped in one transaction.
            unique_constraint(
                "sort_order",
                name="presentation_rules_sort_order_unique",
                message="Another rule has this sort order.",
                deferrable=models.Deferrable.DEFERRED,
            ),
            not_empty_check("rarity", name="presentation_rules_rarity_not_empty"),
            regex_check(
                r"^#[0-9A-Fa-f]{6}$",
                "frame_color",
                name="presentation_rules_frame_color_hex",
                message="A frame color is hexadecimal, for example #4A90E2.",
            ),
            json_object_check("metadata", name="presentation_rules_metadata_object"),
        ]

    def __str__(self) -> str:
        return self.rarity


class Asset(models.Model):
    """A file generated for a card or for the whole catalogue."""

    asset_key = models.CharField(max_length=255)
    asset_type = models.CharField(max_length=64)
    file_path = models.CharField(max_length=1000)
    file_size = models.PositiveBigIntegerField(help_text="Bytes.")
    mime_type = models.CharField(max_length=127)
    checksum = models.CharField(
        max_length=64, null=True, blank=True, help_text="SHA-256, hexadecimal; the Node backend kept none."
    )
    metadata = models.JSONField(default=dict, blank=True, db_default={})
    generated_by = models.CharField(max_length=64, blank=True, db_default="")
    card = models.ForeignKey(Card, models.CASCADE, null=True, blank=True, related_name="assets")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        db_table = "assets"
        constraints = [
            unique_constraint(
                "asset_key", name="assets_asset_key_unique", message="Another asset has this key."
            ),
            not_empty_check("asset_key", name="assets_asset_key_not_empty"),
            not_empty_check("asset_type", name="assets_asset_type_not_empty"),
            not_empty_check("file_path", name="assets_file_path_not_empty"),
            regex_check(
                r"^[^/[:space:]]+/[^/[:space:]]+$",
                "mime_type",
                name="assets_mime_type_shape",
                message="A MIME type is two words, for example image/webp.",
            ),
            regex_check(
                r"^[0-9a-f]{64}$",
                "checksum",
                name="assets_checksum_sha256",
                message="A checksum is SHA-256: 64 hexadecimal digits, in lower case.",
            ),
            json_object_check("metadata", name="assets_metadata_object"),
        ]

    def __str__(self) -> str:
        return self.asset_key
