"""A catalogue with the characters and numbers that break JSON files."""

from __future__ import annotations

from typing import Any

from django.db import connection

from cards.models import Asset, Card, PresentationRule
from ops.models import AuditLog
from ops.sql.dual_write import dual_writes_off

# Quotes, backslashes, the line ends of every system, emoji, a line separator, what COPY and CSV take for
# their own, and all control characters but NUL.
NASTY = "\"q\" 'q' \\ \\n \\\\. \n\r\n\r\t , ; \\. \U0001f985 \u2028\u2029 \ufeff é\u0301 " + "".join(
    map(chr, [*range(1, 32), *range(127, 160)])
)
# The longest number that a float cannot hold, and one whose zeros count.
_NUMBERS = '{"big": 123456789012345678901234567890.5, "zeros": 1.500, "small": 1e-30}'


def nasty_json() -> dict[str, Any]:
    return {NASTY: [NASTY, {"deep": NASTY}, None, True, 7], "": {}, "id": "not the card's"}


def fill() -> None:
    """Create rules, cards, assets and audit rows with these texts and documents."""
    text, document = NASTY, nasty_json()
    for order, rarity in enumerate(("common", "\\rare\\"), start=1):
        PresentationRule.objects.create(
            rarity=rarity, frame_color="#CCCCCC", sort_order=order, badge_icon=text[:64], metadata=document
        )
    with dual_writes_off():
        for number, (rarity, both) in enumerate(
            [("common", "\\rare\\"), ("\\rare\\", None), ("common", "common")]
        ):
            Card.objects.create(
                card_id=f'slug"\\{number}\U0001f985', title=text, description=text, image=text,
                thumbnail=text, rarity=rarity, rarity_v2=both, pack_id=text[:128],
                tags=[text[:64], "", "a,b", "{}", "NULL"],
                metadata=document,
            )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("UPDATE cards SET metadata = metadata || %s::jsonb", [_NUMBERS])
    Asset.objects.create(
        asset_key=text, asset_type=text[:64], file_path=text, file_size=2**62, mime_type="a/b",
        checksum="0" * 64, metadata=document, generated_by=text[:64], card=Card.objects.first(),
    )  # fmt: skip
    audits = [(7, document), (None, document), (7, None), (None, None)]
    for number, (run, metadata) in enumerate(audits):
        AuditLog.objects.create(
            run_id=run, action=text[:64], object_type="cards.card", object_id=str(number), performed_by=text,
            changes={"title": {"old": text, "new": document}}, metadata=metadata,
        )  # fmt: skip
