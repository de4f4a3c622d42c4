"""Random packs: each is loaded, or refused with a message and without any change."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cards.models import Card, PresentationRule
from tests.cards.anything import contents, empty, outcome
from tests.cards.conftest import RARITIES

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.engine]

PACKS = {
    "p.json": '{"packId": "p", "title": "P", "count": 2, "cards": ['
    '{"cardId": "a", "title": "A", "tags": ["x"], "metadata": {"n": 1.50}, "rarity": "rare"},'
    '{"id": "b", "title": "B", "image": "b.webp", "atk": 5}]}',
    "p.jsonl": '{"id": "a", "title": "A", "packId": "p"}\n'
    '{"id": "b", "title": "B", "packId": "p", "tags": "x|y"}\n',
    "p.csv": 'sep=;\ncardId;title;packId;tags;metadata;\na;"A\nA";p;x|y;"{""n"": 1.5}";\nb;B;p;;;\n;;;;;\n',
    "r.csv": "rarity,frameColor,sortOrder,glowEffect\nmythic,#123456,50,yes\nrare,#654321,7,no\n",
    "r.json": '{"rules": [{"rarity": "mythic", "frameColor": "#123456", "sortOrder": 50}]}',
}
PIECES = [
    "", " ", "\n", "\r", "\r\n", ",", ";", "\t", '"', "'", "\\", "{", "}", "[", "]", ":",
    "null", "1e99999", "NaN", "-1", "1,5", "9" * 5000, "é", "e\u0301", "\u200b", "\x00", "\ufeff", "\u202e",
    "a b", "sep=,\n", "/", "..", "x" * 300, "\\ud800", "\\u0000", '{"a": 1}', "[[[[",
    "common", "mythic", ";;;;;;\n",
]  # fmt: skip


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data(), st.sampled_from(sorted(PACKS)))
def test_a_random_pack_is_loaded_or_refused(tmp_path: Path, data: st.DataObject, name: str) -> None:
    text = PACKS[name]
    for _ in range(data.draw(st.integers(1, 4))):
        at, until = sorted(data.draw(st.integers(0, len(text))) for _ in range(2))
        until = min(until, at + data.draw(st.integers(0, 6)))
        text = text[:at] + data.draw(st.sampled_from(PIECES)) + text[until:]
    (tmp_path / name).write_text(text, newline="")
    empty()
    for order, rarity in enumerate(RARITIES):
        PresentationRule.objects.create(rarity=rarity, frame_color="#CCCCCC", sort_order=order)
    Card.objects.create(card_id="b", title="Here", pack_id="p")
    before = contents()
    command = "load_rules" if name.startswith("r") else "load_pack"
    previewed, preview = outcome(command, tmp_path / name)
    assert contents() == before
    executed, message = outcome(command, tmp_path / name, "--execute")
    assert (previewed, executed) in {(0, 0), (1, 1)}, (preview, message)
    if executed:
        assert contents() == before
        assert max(map(len, message.splitlines())) < 600, message
        message.encode()
    else:
        assert outcome(command, tmp_path / name)[1].endswith("There is nothing to do.")
