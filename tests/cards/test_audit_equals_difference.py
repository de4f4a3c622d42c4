"""Whatever two packs say: the audit rows are the difference between the catalogue before and after."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from cards.models import Card, PresentationRule
from cards.packs.catalogue import CARD_COLUMNS
from ops.models import AuditLog
from tests.cards.conftest import RARITIES, load

IDS = ["águila", "búho", "cóndor", "danta"]

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
filled = text.filter(lambda value: value.strip() != "")
scalar = st.none() | st.booleans() | st.integers(-(10**18), 10**18) | text
json_value = st.recursive(
    scalar, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(text, inner, max_size=2), max_leaves=4
)
optional = st.fixed_dictionaries(
    {},
    optional={
        "description": st.none() | text,
        "imageUrl": st.sampled_from(["", "https://example.org/a.webp", "b.webp"]),
        "rarity": st.sampled_from(RARITIES),
        "tags": st.lists(filled, max_size=3),
        "metadata": st.dictionaries(text, json_value, max_size=3),
        "extra": json_value,
    },
)
cards = st.builds(lambda title, rest: {"title": title, "packId": "p", **rest}, filled, optional)
packs = st.dictionaries(st.sampled_from(IDS), cards, min_size=1).map(
    lambda pack: [{"cardId": card_id, **rest} for card_id, rest in pack.items()]
)


def catalogue() -> dict[str, dict[str, Any]]:
    return {str(row["id"]): {name: row[name] for name in CARD_COLUMNS} for row in Card.objects.values()}


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What the audit must say, worked out from the outside."""
    return {
        pk: {
            name: {"old": before[pk][name], "new": row[name]}
            for name in CARD_COLUMNS
            if repr(before[pk][name]) != repr(row[name])
        }
        for pk, row in after.items()
        if pk in before and repr(before[pk]) != repr(row)
    }


def load_json(pack: Any, *flags: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pack.json"
        path.write_text(json.dumps(pack), encoding="utf-8")
        load(path, "--execute", *flags)


class AuditEqualsDifference(TestCase):
    @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(packs, packs, st.booleans(), st.booleans())
    def test_audit_equals_difference(
        self, first: Any, second: Any, first_without: bool, second_without: bool
    ) -> None:
        for order, rarity in enumerate(RARITIES):
            PresentationRule.objects.create(rarity=rarity, frame_color="#CCCCCC", sort_order=order)
        load_json(first, *(["--without-rarity-v2"] if first_without else []))
        before, last = catalogue(), AuditLog.objects.order_by("pk").last()
        load_json(second, *(["--without-rarity-v2"] if second_without else []))
        after = catalogue()
        written = AuditLog.objects.filter(pk__gt=last.pk)
        audited = {row.object_id: row.changes for row in written}
        assert len(audited) == written.count(), "an object is audited at most once"
        changed = {pk: changes for pk, changes in audited.items() if pk in before}
        assert changed == difference(before, after)
        for pk in after.keys() - before.keys():
            for name, change in audited[pk].items():
                assert change.get("old") is None
                assert change["new"] == after[pk][name]
            assert {name for name in CARD_COLUMNS if name not in audited[pk]} <= {
                name for name in CARD_COLUMNS if after[pk][name] in ("", [], {}, None, "common")
            }
        assert audited.keys() == changed.keys() | (after.keys() - before.keys())
        load_json(second, *(["--without-rarity-v2"] if second_without else []))
        assert AuditLog.objects.filter(pk__gt=last.pk).count() == len(audited), (
            "a second load changes nothing"
        )


pytestmark = pytest.mark.django_db
