import json
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection

from cards.models import PresentationRule
from ops.models import AuditLog
from tests.cards.conftest import load, refusal

pytestmark = pytest.mark.django_db

Write = Callable[..., Path]


def rules() -> list[tuple[str, str, bool]]:
    return list(PresentationRule.objects.values_list("rarity", "frame_color", "glow_effect"))


def test_the_standard_rules_are_loaded_by_default() -> None:
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
    message = load(None, command="load_rules").splitlines()
    assert message[2:5] == ["  4  would be created", "  0  would be changed", "  0  unchanged"]
    assert message[-1] == "Nothing was written. To execute: manage.py load_rules --as ada --execute"
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
        ({"frameColor": "red"}, "frameColor is 'red': A frame color is hexadecimal, for example #4A90E2."),
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
    status, message = refusal(write({"rules": [{**good, **rule}]}), "--execute", command="load_rules")
    assert message.splitlines()[1] == f"  rules[0]  {reason}"
    assert status == 1


def test_numbers_and_booleans_of_spreadsheets_are_read(write: Write) -> None:
    rows = ["a;#CCCCCC;10,0;VERDADERO", "b;#CCCCCC;20.00;falso", "c;#CCCCCC;30;SÍ"]
    sheet = "\n".join(["rarity;frameColor;sortOrder;glowEffect", *rows])
    load(write(sheet, "r.csv"), "--execute", command="load_rules")
    assert list(PresentationRule.objects.values_list("sort_order", "glow_effect")) == [
        (10, True),
        (20, False),
        (30, True),
    ]
    for number in ("1.000", "1,5", "1,000"):
        _, message = refusal(
            write(f"rarity;frameColor;sortOrder\nd;#CCCCCC;{number}\n", "r.csv"), command="load_rules"
        )
        assert message.endswith(f"line 2  sortOrder is the text '{number}', not a whole number")


def test_two_rules_with_one_sort_order_are_reported(write: Write) -> None:
    twins = [{"rarity": name, "frameColor": "#123456", "sortOrder": 5} for name in ("a", "b")]
    for flags in ([], ["--execute"]):
        status, message = refusal(write(json.dumps(twins)), *flags, command="load_rules")
        assert (status, message.splitlines()[1]) == (1, "  row [1]  sortOrder 5 is already used by 'a'")
    assert rules() == []
    assert not AuditLog.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_used_sort_order_is_reported_by_the_preview(write: Write) -> None:
    load(None, "--execute", command="load_rules")
    rule = {"rarity": "Rare Holo", "frameColor": "#888888", "sortOrder": 20}
    _, message = refusal(write([rule]), command="load_rules")
    assert message.splitlines()[1] == "  row [0]  sortOrder 20 is already used by 'rare'"
    load(write([rule, {"rarity": "rare", "sortOrder": 21}]), "--execute", command="load_rules")


def test_a_value_that_the_database_refuses_is_reported(write: Write) -> None:
    """The index of a site, which the preview does not check."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE UNIQUE INDEX trial ON presentation_rules (lower(rarity))")
    twins = [{"rarity": name, "frameColor": "#123456", "sortOrder": i} for i, name in enumerate("aA")]
    status, message = refusal(write(json.dumps(twins)), "--execute", command="load_rules")
    assert status == 1
    assert message.startswith("The database refused the load: ")
    assert 'constraint "trial"' in message
    assert rules() == []
