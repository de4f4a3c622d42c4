"""The catalogue: cards, the presentation rules that dress them by rarity, the assets made for them."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from cards.triggers import keep_rarity_equal


class Card(models.Model):
    card_id = models.CharField(max_length=128, unique=True, help_text="Slug; may hold letters of any script.")
    title = models.CharField(max_length=255)
    description = models.TextField(blank=True, db_default="")
    image = models.CharField(max_length=1000, blank=True, db_default="", help_text="Storage name, or URL.")
    thumbnail = models.CharField(max_length=255, blank=True, db_default="", help_text="Storage name.")
    rarity = models.CharField(max_length=32, default="common", db_default="common")
    rarity_v2 = models.CharField(max_length=64, null=True, blank=True)
    pack_id = models.CharField(max_length=128)
    tags = ArrayField(models.CharField(max_length=64), default=list, blank=True, db_default=[])
    metadata = models.JSONField(default=dict, blank=True, db_default={})
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        db_table = "cards"
        constraints = [
            models.CheckConstraint(condition=~models.Q(card_id=""), name="cards_card_id_not_empty"),
            models.CheckConstraint(condition=~models.Q(title=""), name="cards_title_not_empty"),
            models.CheckConstraint(condition=~models.Q(rarity=""), name="cards_rarity_not_empty"),
        ]
        indexes = [models.Index(fields=["pack_id", "rarity"], name="idx_cards_pack_rarity")]
        triggers = [keep_rarity_equal]

    def __str__(self) -> str:
        return self.title


class PresentationRule(models.Model):
    """How cards of one rarity are dressed. The rarities are these rows, in their sort order."""

    rarity = models.CharField(max_length=32, unique=True)
    frame_color = models.CharField(max_length=7, help_text="Hexadecimal, as #4A90E2.")
    glow_effect = models.BooleanField(default=False, db_default=False)
    badge_icon = models.CharField(max_length=64, blank=True, db_default="")
    sort_order = models.PositiveSmallIntegerField(unique=True)
    metadata = models.JSONField(default=dict, blank=True, db_default={})
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        db_table = "presentation_rules"
        ordering = ["sort_order"]
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(rarity=""), name="presentation_rules_rarity_not_empty"
            ),
            models.CheckConstraint(
                condition=models.Q(frame_color__regex=r"^#[0-9A-Fa-f]{6}$"),
                name="presentation_rules_frame_color_hex",
            ),
        ]

    def __str__(self) -> str:
        return self.rarity


class Asset(models.Model):
    """A file made for a card, or for the catalogue as a whole."""

    asset_key = models.CharField(max_length=255, unique=True)
    asset_type = models.CharField(max_length=64)
    file_path = models.CharField(max_length=1000)
    file_size = models.PositiveBigIntegerField(help_text="Bytes.")
    mime_type = models.CharField(max_length=127)
    checksum = models.CharField(max_length=64, help_text="SHA-256, hexadecimal.")
    metadata = models.JSONField(default=dict, blank=True, db_default={})
    generated_by = models.CharField(max_length=64, blank=True, db_default="")
    card = models.ForeignKey(Card, models.CASCADE, null=True, blank=True, related_name="assets")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        db_table = "assets"
        constraints = [
            models.CheckConstraint(condition=~models.Q(asset_key=""), name="assets_asset_key_not_empty"),
            models.CheckConstraint(
                condition=models.Q(checksum__regex=r"^[0-9a-f]{64}$"), name="assets_checksum_sha256"
            ),
        ]

    def __str__(self) -> str:
        return self.asset_key
