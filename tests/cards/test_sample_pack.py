"""The files of the sample pack; these tests need no database."""

import json
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

SAMPLE = Path(__file__).resolve().parents[2] / "cards" / "sample"
PACK = json.loads((SAMPLE / "colombia-birds.json").read_text(encoding="utf-8"))
CARDS = PACK["cards"]

every_card = pytest.mark.parametrize("card", CARDS, ids=[card["imageUrl"] for card in CARDS])


def test_the_pack_counts_forty_cards_and_names_itself_on_each():
    assert len(CARDS) == PACK["count"] == 40
    assert {card["packId"] for card in CARDS} == {PACK["packId"]}


def test_the_rarities_are_eighteen_twelve_six_and_four():
    assert Counter(card["rarity"] for card in CARDS) == {"common": 18, "rare": 12, "epic": 6, "legendary": 4}


def test_no_two_cards_share_an_id_a_title_a_species_or_an_image():
    species = [card["metadata"]["scientificName"] for card in CARDS]
    for values in (species, *([card[key] for card in CARDS] for key in ("cardId", "title", "imageUrl"))):
        assert len(set(values)) == len(CARDS)


@every_card
def test_a_card_id_is_the_title_as_a_slug_with_its_accents_kept(card):
    assert card["cardId"] == card["title"].lower().replace(" ", "-")


@every_card
def test_a_card_describes_the_bird_and_its_habitat(card):
    assert card["description"].endswith(".")
    assert card["tags"]
    metadata = card["metadata"]
    assert {
        "scientificName",
        "commonName",
        "family",
        "order",
        "habitat",
        "lengthCm",
        "regions",
    } <= metadata.keys()
    assert set(metadata["regions"]) <= {"Caribe", "Andes", "Pacífico", "Orinoquia", "Amazonia"}


@every_card
def test_a_card_has_its_own_small_portrait_image(card):
    path = SAMPLE / card["imageUrl"]
    assert path.name.isascii()
    assert path.stat().st_size <= 30_000
    with Image.open(path) as image:
        assert (image.format, image.size) == ("WEBP", (600, 800))


def test_the_images_folder_holds_nothing_that_no_card_shows():
    assert {f"images/{path.name}" for path in (SAMPLE / "images").iterdir()} == {
        card["imageUrl"] for card in CARDS
    }


def test_every_card_has_a_portrait_that_the_drawing_code_can_draw():
    from cards.sample.art.gallery import PORTRAITS

    assert {f"images/{slug}.webp" for slug in PORTRAITS} == {card["imageUrl"] for card in CARDS}
