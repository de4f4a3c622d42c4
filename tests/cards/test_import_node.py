"""Import of a Node backend's export: values without a column are kept in metadata."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cards.models import Asset, Card, PresentationRule
from ops.models import AuditLog
from tests.cards.conftest import run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.engine]


def values(row: Any) -> dict[str, Any]:
    return {field.name: getattr(row, field.name) for field in row._meta.concrete_fields if field.name != "id"}


@pytest.mark.parametrize("rules_there", [False, True])
def test_the_node_backends_export_loads_and_nothing_of_it_is_dropped(node: Path, rules_there: bool) -> None:
    if rules_there:  # an operator may have typed load_rules first
        for order, rarity in enumerate(("common", "rare", "epic")):
            PresentationRule.objects.create(rarity=rarity, frame_color="#CCCCCC", sort_order=order)
    assert "and has as many rows as the summary says" in run("verify_export", node)
    run("import_json", node, "--execute")
    when, later = datetime(2024, 1, 28, 14, 30, tzinfo=UTC), datetime(2024, 2, 1, 8, 5, 6, 789000, tzinfo=UTC)

    eagle, bird, parrot = Card.objects.order_by("pk")
    assert values(eagle) == {
        "card_id": "águila-real",
        "title": 'Águila "real"',
        "description": "Vuela \\ alto.\n\u2028🦅",
        "image": "https://example.org/aguila.webp",
        "thumbnail": "thumbs/aguila.webp",
        "rarity": "epic",
        "rarity_v2": None,
        "pack_id": "aves",
        "tags": ["rapaz", "páramo"],
        "created_at": when,
        "updated_at": later,
        "metadata": {
            "id": "clrx8k2v10000qwer1111aaaa", "artist": "Ana", "metadata": {"atk": 5}, "atk": 7, "def": 3,
            "commonName": "Águila real", "scientificName": "Aquila chrysaetos", "habitat": "páramo",
            "flightRange": 120.5, "heightCm": 90, "family": "Accipitridae", "order": "Accipitriformes",
            "species": "A. chrysaetos", "familyGroup": "rapaces", "imageUrls": ["https://example.org/1.webp"],
            "audioUrl": None,
        },
    }  # fmt: skip
    assert (bird.rarity, bird.rarity_v2, bird.description, bird.image) == ("common", "rare", "", "")
    assert (parrot.tags, parrot.metadata) == (
        ["verde"],
        {"id": "clrx8k2v10002qwer3333cccc", "habitat": "selva"},
    )
    epic = PresentationRule.objects.get(rarity="epic")
    assert (epic.frame_color, epic.glow_effect, epic.badge_icon, epic.sort_order) == (
        "#9B59B6",
        True,
        "star",
        2,
    )
    assert epic.metadata == {"id": "clrx8k2v20002qwer3333cccc", "animation": "pulse"}
    asset = Asset.objects.get()
    assert values(asset) == {
        "asset_key": "thumb:águila-real", "asset_type": "thumbnail", "file_path": "thumbs/aguila.webp",
        "file_size": 20480, "mime_type": "image/webp", "checksum": None, "generated_by": "worker",
        "card": None, "metadata": {"id": "clrx8k2v30000qwer1111aaaa", "width": 256}, "created_at": when,
        "updated_at": when,
    }  # fmt: skip
    audit = AuditLog.objects.exclude(action="import_json").order_by("pk")
    assert [values(row) for row in audit] == [
        {
            "run": None, "action": "UPDATE", "object_type": "cards.card", "object_id": str(eagle.pk),
            "performed_by": "admin", "changes": {"rarity": {"from": "rare", "to": "epic"}},
            "metadata": {"id": "clrx8k2v40000qwer1111aaaa", "ip": "10.0.0.1"}, "created_at": when,
        },
        {
            "run": None, "action": "DELETE", "object_type": "cards.card",
            "object_id": "clrx8k2v19999gone0000zzzz", "performed_by": "", "changes": {},
            "metadata": {"id": "clrx8k2v40001qwer2222bbbb"}, "created_at": when,
        },
        {
            "run": None, "action": "BULK_PROMOTE", "object_type": "", "object_id": "",
            "performed_by": "admin", "changes": {"count": 2}, "metadata": {"id": "clrx8k2v40002qwer3333cccc"},
            "created_at": later,
        },
    ]  # fmt: skip
    assert AuditLog.objects.filter(action="import_json").exists() == rules_there
    rows = AuditLog.objects.count()
    run("import_json", node, "--execute")
    assert AuditLog.objects.count() == rows
