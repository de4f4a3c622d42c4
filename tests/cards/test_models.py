from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from cards.models import Asset, Card, PresentationRule

pytestmark = pytest.mark.django_db

CARD = {"card_id": "águila-real", "title": "Águila real", "pack_id": "aves"}
RULE = {"rarity": "rare", "frame_color": "#4A90E2", "sort_order": 2}
ASSET = {
    "asset_key": "thumb/1",
    "asset_type": "thumbnail",
    "file_path": "thumbs/1.webp",
    "file_size": 10,
    "mime_type": "image/webp",
    "checksum": "ab" * 32,
}

WRONG: list[tuple[type[Any], dict[str, Any], dict[str, Any], str]] = [
    (Card, CARD, {"card_id": ""}, "cards_card_id_no_space"),
    (Card, CARD, {"card_id": "águila real"}, "cards_card_id_no_space"),
    (Card, CARD, {"card_id": "águila-real\n"}, "cards_card_id_no_space"),
    (Card, CARD, {"title": ""}, "cards_title_not_empty"),
    (Card, CARD, {"rarity": ""}, "cards_rarity_not_empty"),
    (Card, CARD, {"pack_id": ""}, "cards_pack_id_not_empty"),
    (Card, CARD, {"tags": ["a", None]}, "cards_tags_no_null"),
    (Card, CARD, {"metadata": [1]}, "cards_metadata_object"),
    (Card, CARD, {"metadata": "text"}, "cards_metadata_object"),
    (PresentationRule, RULE, {"rarity": ""}, "presentation_rules_rarity_not_empty"),
    (PresentationRule, RULE, {"frame_color": "#4A90EG"}, "presentation_rules_frame_color_hex"),
    (PresentationRule, RULE, {"frame_color": "#4A90E"}, "presentation_rules_frame_color_hex"),
    (PresentationRule, RULE, {"sort_order": -1}, "presentation_rules_sort_order_check"),
    (PresentationRule, RULE, {"metadata": 1}, "presentation_rules_metadata_object"),
    (Asset, ASSET, {"asset_key": ""}, "assets_asset_key_not_empty"),
    (Asset, ASSET, {"asset_type": ""}, "assets_asset_type_not_empty"),
    (Asset, ASSET, {"file_path": ""}, "assets_file_path_not_empty"),
    (Asset, ASSET, {"file_size": -1}, "assets_file_size_check"),
    (Asset, ASSET, {"mime_type": "image"}, "assets_mime_type_shape"),
    (Asset, ASSET, {"mime_type": "image/webp; q=1"}, "assets_mime_type_shape"),
    (Asset, ASSET, {"checksum": "AB" * 32}, "assets_checksum_sha256"),
    (Asset, ASSET, {"checksum": "ab" * 31}, "assets_checksum_sha256"),
    (Asset, ASSET, {"metadata": []}, "assets_metadata_object"),
]


@pytest.mark.parametrize(("model", "good", "wrong", "constraint"), WRONG)
def test_the_database_refuses_invalid_rows(
    model: type[Any], good: dict[str, Any], wrong: dict[str, Any], constraint: str
) -> None:
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        model.objects.bulk_create([model(**{**good, **wrong})])


@pytest.mark.parametrize(("model", "good", "wrong", "constraint"), WRONG)
def test_a_form_refuses_the_same_values_with_a_message(
    model: type[Any], good: dict[str, Any], wrong: dict[str, Any], constraint: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        model(**{**good, **wrong}).full_clean()
    assert "violated" not in str(caught.value), "Django's own sentence for a constraint without one"


@pytest.mark.parametrize(("model", "good"), [(Card, CARD), (PresentationRule, RULE), (Asset, ASSET)])
def test_valid_rows_are_stored(model: type[Any], good: dict[str, Any]) -> None:
    row = model(**good)
    row.full_clean()
    row.save()
    row.refresh_from_db()
    assert {name: getattr(row, name) for name in good} == good
    assert row.metadata == {}


@pytest.mark.parametrize(
    ("model", "good", "other", "constraint"),
    [
        (Card, CARD, {}, "cards_card_id_unique"),
        (PresentationRule, RULE, {"sort_order": 3}, "presentation_rules_rarity_unique"),
        (PresentationRule, RULE, {"rarity": "epic"}, "presentation_rules_sort_order_unique"),
        (Asset, ASSET, {}, "assets_asset_key_unique"),
    ],
)
def test_natural_keys_are_unique(
    model: type[Any], good: dict[str, Any], other: dict[str, Any], constraint: str
) -> None:
    model.objects.create(**good)
    with pytest.raises(ValidationError):
        model(**{**good, **other}).full_clean()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        model.objects.create(**{**good, **other})


def test_two_rules_can_change_places_in_one_transaction() -> None:
    one = PresentationRule.objects.create(**RULE)
    two = PresentationRule.objects.create(rarity="epic", frame_color="#9B59B6", sort_order=3)
    one.sort_order, two.sort_order = 3, 2
    one.save()
    two.save()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert [rule.rarity for rule in PresentationRule.objects.all()] == ["epic", "rare"]


def test_no_text_column_carries_a_second_index_for_like() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexname FROM pg_indexes WHERE indexdef LIKE '%pattern_ops%' AND tablename = 'cards'"
        )
        assert cursor.fetchall() == []


def test_a_row_written_by_plain_sql_gets_the_defaults_of_the_catalogue() -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO cards (card_id, title, pack_id) VALUES ('colibrí', 'Colibrí', 'aves')")
    card = Card.objects.get()
    assert (card.rarity, card.rarity_v2, card.tags, card.metadata) == ("common", "common", [], {})
    assert card.created_at
    assert card.updated_at
