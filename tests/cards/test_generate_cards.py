from collections import Counter

import pytest

from cards.models import Card
from ops.models import AuditLog
from tests.cards.conftest import load, refusal

pytestmark = pytest.mark.django_db


def generate(*args: str) -> str:
    return load(*args, command="generate_cards")


def cards() -> list[tuple[object, ...]]:
    return list(
        Card.objects.order_by("card_id").values_list(
            "card_id", "title", "rarity", "pack_id", "tags", "metadata"
        )
    )


def test_the_rarities_are_sixty_twenty_five_ten_and_five_of_a_hundred() -> None:
    assert generate("200") == "200 cards created."
    assert Counter(Card.objects.values_list("rarity", flat=True)) == {
        "common": 120,
        "rare": 50,
        "epic": 20,
        "legendary": 10,
    }


def test_the_same_seed_makes_the_same_cards() -> None:
    generate("50", "--seed", "7")
    first = cards()
    Card.objects.all().delete()
    generate("50", "--seed", "7")
    assert cards() == first


def test_another_seed_makes_other_cards_and_more_cards_begin_with_the_same() -> None:
    generate("20", "--seed", "1")
    first = cards()
    generate("30", "--seed", "1")
    assert cards()[:20] == first
    assert generate("20", "--seed", "2") == "20 cards created."
    assert [card[1:] for card in cards()[30:]] != [card[1:] for card in first]


def test_generating_again_keeps_existing_cards() -> None:
    generate("20")
    Card.objects.update(rarity="legendary")
    assert generate("30") == "10 cards created; 20 existed already."
    assert Card.objects.filter(rarity="legendary").count() >= 20


def test_every_card_is_audited_and_has_rarity_v2_unless_disabled() -> None:
    generate("20", "--pack", "a")
    generate("20", "--pack", "b", "--without-rarity-v2")
    assert not Card.objects.filter(pack_id="a", rarity_v2=None).exists()
    assert Card.objects.filter(pack_id="b", rarity_v2=None).count() == 20
    assert AuditLog.objects.filter(action="generate_cards", performed_by="ada").count() == 40


def test_a_pack_name_of_several_words_makes_card_ids_without_spaces() -> None:
    generate("2", "--pack", "Aves de Ñame")
    assert set(Card.objects.values_list("card_id", "pack_id")) == {
        ("aves-de-ñame-1-000001", "Aves de Ñame"),
        ("aves-de-ñame-1-000002", "Aves de Ñame"),
    }


@pytest.mark.parametrize(
    "args",
    [
        ["0"],
        ["-5"],
        ["many"],
        ["5", "--pack", ""],
        ["5", "--pack", "x" * 129],
        ["5", "--pack", "a\nb"],
        ["5", "--pack", "a\u200b"],
        ["5", "--pack", "\udcff"],
        ["5", "--as", "\udcff"],
    ],
)
def test_wrong_arguments_are_refused(args: list[str]) -> None:
    refusal(*args, command="generate_cards")
    assert not Card.objects.exists()
