import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cards.models import PresentationRule
from ops.models import AuditLog
from tests.cards.conftest import load, refusal

pytestmark = pytest.mark.django_db

Write = Callable[..., Path]


def rules() -> list[tuple[str, str, bool]]:
    return list(PresentationRule.objects.values_list("rarity", "frame_color", "glow_effect"))


def test_the_rules_of_the_house_are_loaded_by_default() -> None:
    load(None, "--execute", command="load_rules")
    assert rules() == [
        ("common", "#CCCCCC", False),
        ("rare", "#4A90E2", True),
        ("epic", "#9B59B6", True),
        ("legendary", "#F39C12", True),
    ]
    assert set(AuditLog.objects.values_list("action", "object_type", "performed_by")) == {
        ("load_rules", "cards.presentationrule", "ada")
    }


@pytest.mark.django_db(transaction=True)
def test_a_preview_ends_with_the_command_that_was_typed() -> None:
    said = load(None, command="load_rules").splitlines()
    assert said[2:5] == ["  4  would be created", "  0  would be changed", "  0  unchanged"]
    assert said[-1] == "Nothing was written. To execute: manage.py load_rules --as ada --execute"
    assert rules() == []


def test_rules_can_change_places_and_a_second_load_changes_nothing(write: Write) -> None:
    load(None, "--execute", command="load_rules")
    swapped = write(
        "rarity;frameColor;sortOrder;glow_effect\nrare;#000000;30;no\nepic;#FFFFFF;20;yes\n", "r.csv"
    )
    assert "  2  changed" in load(swapped, "--execute", command="load_rules").splitlines()
    assert [rarity for rarity, _, _ in rules()] == ["common", "epic", "rare", "legendary"]
    changes = AuditLog.objects.order_by("-pk").first().changes
    assert changes["sort_order"] == {"old": 30, "new": 20}
    assert "  2  unchanged" in load(swapped, "--execute", command="load_rules").splitlines()
    assert AuditLog.objects.count() == 6


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"frameColor": "red"}, "frameColor is 'red': A frame colour is hexadecimal, as #4A90E2."),
        ({"frameColor": "#4A90E2\n"}, "frameColor has 8 characters, 7 at most"),
        ({"frameColor": None}, "frameColor is missing, and 'mythic' is a new row"),
        ({"sortOrder": "first"}, "sortOrder is the text 'first', not a whole number"),
        ({"sortOrder": True}, "sortOrder is true, not a whole number"),
        ({"sortOrder": -1}, "sortOrder is -1: Ensure this value is greater than or equal to 0."),
        ({"sortOrder": 40000}, "sortOrder is 40000: Ensure this value is less than or equal to 32767."),
        ({"glowEffect": "maybe"}, "glowEffect is the text 'maybe', not true or false"),
        ({"glowEffect": 1}, "glowEffect is the number 1, not true or false"),
        ({"rarity": ""}, "rarity is empty"),
    ],
)
def test_a_bad_rule_is_named_with_its_reason(write: Write, rule: dict[str, object], reason: str) -> None:
    good = {"rarity": "mythic", "frameColor": "#123456", "sortOrder": 50}
    status, said = refusal(write({"rules": [{**good, **rule}]}), "--execute", command="load_rules")
    assert said.splitlines()[1] == f"  rules[0]  {reason}"
    assert status == 1


def test_two_rules_in_one_place_are_refused_by_the_database_and_nothing_is_kept(write: Write) -> None:
    twins = [{"rarity": name, "frameColor": "#123456", "sortOrder": 5} for name in ("a", "b")]
    status, said = refusal(write(json.dumps(twins)), "--execute", command="load_rules")
    assert status == 1
    assert "presentation_rules_sort_order_unique" in said
    assert "Key (sort_order)=(5) already exists." in said
    assert rules() == []
    assert not AuditLog.objects.exists()
