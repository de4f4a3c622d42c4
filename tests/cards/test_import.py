"""Import of an export: a copy into an empty database, an audited merge into any other."""

import io
import json
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from cards.models import Asset, Card, PresentationRule
from ops.models import AuditLog
from tests.cards.conftest import refusal, run
from tests.cards.nasty import fill

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.engine]

TABLES = (PresentationRule, Card, Asset, AuditLog)


def empty() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        for model in TABLES:
            cursor.execute(f'DELETE FROM "{model._meta.db_table}"')
            cursor.execute(f"SELECT setval(pg_get_serial_sequence('{model._meta.db_table}', 'id'), 1, false)")
        cursor.execute("RESET session_replication_role")


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files, without the times of the summary."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    summary = json.loads(files.pop("export_summary.json"))
    for name in ("exportedAt", "seconds", "snapshot"):
        del summary[name]
    return {**files, "summary": json.dumps(summary).encode()}


@pytest.mark.parametrize("flags", [[], ["--format", "jsonl", "--compress"]])
def test_export_import_export_gives_the_same_bytes_and_new_rows_new_keys(
    tmp_path: Path, flags: list[str]
) -> None:
    fill()
    run("export_json", "--output", tmp_path / "a", "--audit-logs", "all", *flags)
    before = {model: list(model.objects.order_by("pk").values()) for model in TABLES[:3]}
    empty()
    run("import_json", tmp_path / "a", "--execute")
    assert {model: list(model.objects.order_by("pk").values()) for model in TABLES[:3]} == before
    run("export_json", "--output", tmp_path / "b", "--audit-logs", "all", *flags)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert not AuditLog.objects.exclude(run=None).exists()
    last = max(before[Card], key=lambda row: row["id"])["id"]
    assert Card.objects.create(card_id="new", title="t", pack_id="p").pk > last


def test_verify_export_finds_nothing_wrong_and_one_flipped_byte_is_found(tmp_path: Path) -> None:
    fill()
    run("export_json", "--output", tmp_path / "e")
    lines = run("verify_export", tmp_path / "e").splitlines()
    assert lines[-1] == "Every file is as it was exported."
    path = tmp_path / "e" / "audit_logs.json"
    path.write_bytes(path.read_bytes().replace(b'"cards.card"', b'"cards.cart"', 1))
    stdout = io.StringIO()
    with pytest.raises(SystemExit) as caught:
        call_command("verify_export", tmp_path / "e", stdout=stdout)
    assert caught.value.code == 1
    assert "audit_logs.json - - DAMAGED: its SHA-256 is " in " ".join(stdout.getvalue().split())
    status, message = refusal(tmp_path / "e", "--execute", command="import_json")
    assert (status, message.startswith(f"{path} was refused: its SHA-256 is ")) == (1, True)


def test_a_preview_writes_nothing_and_says_how_to_execute(tmp_path: Path) -> None:
    fill()
    run("export_json", "--output", tmp_path / "e")
    empty()
    lines = run("import_json", tmp_path / "e").splitlines()
    assert lines[1:] == [
        "The database is empty: rows keep their ids and times, and the audit log is taken from the export.",
        "",
        "                      to create  to change  unchanged",
        "  presentation rules  2          0          0",
        "  cards               3          0          0",
        "  assets              1          0          0",
        "  audit rows          4          0          0",
        "",
        f"Nothing was written. To execute: manage.py import_json {tmp_path}/e --execute",
    ]
    assert not any(model.objects.exists() for model in TABLES)


def test_a_merge_audits_what_it_changes_maps_the_keys_and_is_idempotent(tmp_path: Path) -> None:
    """The target catalogue has other rows with the same primary keys."""
    rule = {"frame_color": "#CCCCCC", "sort_order": 1}
    PresentationRule.objects.create(rarity="common", **rule)
    gone = Card.objects.create(card_id="gone", title="Gone", pack_id="p")
    for slug in ("kept", "made"):
        card = Card.objects.create(card_id=slug, title=slug, pack_id="p", metadata={"theirs": 1})
        Asset.objects.create(
            asset_key=f"of {slug}", asset_type="t", file_path="f", file_size=1, mime_type="a/b", card=card
        )
    Card.objects.filter(card_id="made").update(rarity_v2=None)
    for card in Card.objects.order_by("pk"):
        AuditLog.objects.create(
            action="a",
            object_type="cards.card",
            object_id=str(card.pk),
            performed_by="p",
            changes={},
            run_id=9,
        )
    was = gone.pk
    gone.delete()
    run("export_json", "--output", tmp_path / "e")
    made = Card.objects.get(card_id="made")
    empty()
    PresentationRule.objects.create(rarity="common", **rule)
    kept = Card.objects.create(card_id="kept", title="Other", pack_id="p", metadata={"ours": 2})

    lines = run("import_json", tmp_path / "e", "--execute", "--as", "ada").splitlines()
    assert lines[1:] == [
        "The database is not empty: rows are merged, and the changes are recorded in the audit log.",
        "",
        "                      created  changed  unchanged",
        "  presentation rules  0        0        1",
        "  cards               1        1        0",
        "  assets              2        0        0",
        "  audit rows          3        0        0",
    ]
    cards = {card.card_id: card for card in Card.objects.all()}
    assert (cards["kept"].title, cards["kept"].metadata) == ("kept", {"ours": 2, "theirs": 1})
    assert cards["kept"].created_at == kept.created_at
    assert (cards["made"].rarity_v2, cards["made"].created_at) == (None, made.created_at)
    assert {a.asset_key: a.card for a in Asset.objects.all()} == {f"of {slug}": cards[slug] for slug in cards}
    own = AuditLog.objects.filter(action="import_json", performed_by="ada")
    assert {(row.object_type, row.object_id) for row in own if row.object_type == "cards.card"} == {
        ("cards.card", str(card.pk)) for card in cards.values()
    }
    theirs = AuditLog.objects.filter(action="a").order_by("pk")
    assert [(row.run_id, row.object_id, row.metadata) for row in theirs] == [
        (None, object_id, {"run": 9})
        for object_id in (f"elsewhere:{was}", str(cards["kept"].pk), str(cards["made"].pk))
    ]
    rows = AuditLog.objects.count()
    assert run("import_json", tmp_path / "e").splitlines()[-1] == "There is nothing to do."
    run("import_json", tmp_path / "e", "--execute")
    assert AuditLog.objects.count() == rows
