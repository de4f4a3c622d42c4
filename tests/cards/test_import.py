import io
import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from cards.models import Asset, Card, PresentationRule
from ops.models import AuditLog
from tests.cards.nasty import fill

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.engine]

TABLES = (PresentationRule, Card, Asset, AuditLog)


def run(command: str, *args: object) -> str:
    stdout = io.StringIO()
    call_command(command, *args, stdout=stdout)
    return stdout.getvalue().rstrip()


def refusal(folder: Path, *flags: str, command: str = "import_json") -> tuple[int, str]:
    with pytest.raises(CommandError) as caught:
        run(command, folder, *flags)
    return caught.value.returncode, str(caught.value)


def empty() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        for model in TABLES:
            cursor.execute(f'DELETE FROM "{model._meta.db_table}"')
            cursor.execute(f"SELECT setval(pg_get_serial_sequence('{model._meta.db_table}', 'id'), 1, false)")
        cursor.execute("RESET session_replication_role")


def contents(folder: Path) -> dict[str, bytes]:
    """The files; of the summary what is not of the time."""
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    summary = json.loads(found.pop("export_summary.json"))
    for name in ("exportedAt", "seconds", "snapshot"):
        del summary[name]
    return {**found, "summary": json.dumps(summary).encode()}


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
    said = run("verify_export", tmp_path / "e").splitlines()
    assert said[-1] == "Every file is as it was exported."
    path = tmp_path / "e" / "audit_logs.json"
    path.write_bytes(path.read_bytes().replace(b'"cards.card"', b'"cards.cart"', 1))
    stdout = io.StringIO()
    with pytest.raises(SystemExit) as caught:
        call_command("verify_export", tmp_path / "e", stdout=stdout)
    assert caught.value.code == 1
    assert "audit_logs.json - - DAMAGED: its SHA-256 is " in " ".join(stdout.getvalue().split())
    status, words = refusal(tmp_path / "e", "--execute")
    assert (status, words.startswith(f"{path} was refused: its SHA-256 is ")) == (1, True)


def test_a_preview_writes_nothing_and_says_how_to_execute(tmp_path: Path) -> None:
    fill()
    run("export_json", "--output", tmp_path / "e")
    empty()
    said = run("import_json", tmp_path / "e").splitlines()
    assert said[1:] == [
        "The database is empty: rows keep their ids and times, and the audit log is the export's.",
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
    """Into a catalogue where the same keys are other rows'."""
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

    said = run("import_json", tmp_path / "e", "--execute", "--as", "ada").splitlines()
    assert said[1:] == [
        "The database is in use: rows are merged, and what changes is audited as this import's.",
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


NODE = Path(__file__).parent / "node_export"


@pytest.fixture
def node(tmp_path: Path) -> Path:
    return Path(shutil.copytree(NODE, tmp_path / "node"))


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


def values(row: Any) -> dict[str, Any]:
    return {field.name: getattr(row, field.name) for field in row._meta.concrete_fields if field.name != "id"}


def damage(folder: Path, name: str, old: str, new: str) -> None:
    path = folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("name", "old", "new", "reason"),
    [
        ("cards.json", '"def": 3\n  },', '"def": 3', "not JSON: Expecting ',' delimiter or '}' at line 37"),
        ("cards.json", '"def": 3', '"def": NaN', "not JSON: NaN is no JSON number at line 2, column 3."),
        ("cards.json", '"def": 3', '"def": 3, "def": 4', 'row [0]  gives "def" twice'),
        ("cards.json", '"artist"', '"atk"', 'row [0]  gives "atk" twice'),
        (
            "cards.json",
            '"rarity": "epic"',
            '"rarity": "mythic"',
            "rarity 'mythic' is unknown; the rarities are",
        ),
        ("cards.json", '"Copetón"', '"a\\u0000"', "row [1]  title holds a NUL character (\\u0000)"),
        (
            "cards.json",
            '"cardId": "loro"',
            '"cardId": "copetón"',
            "cardId 'copetón' was given before, in row [1]",
        ),
        (
            "cards.json",
            "2024-01-28T14",
            "2024-01-32T14",
            "createdAt is the text '2024-01-32T14:30:00.000Z', not a",
        ),
        ("cards.json", "images/loro.webp", "../loro.webp", "image '../loro.webp' leads out of its folder"),
        ("assets.json", "thumbs/", "../../", "filePath '../../aguila.webp' leads out of its folder"),
        ("assets.json", '"metadata"', '"cardId": "none", "metadata"', "its card 'none' is not in the export"),
        ("audit_logs.json", '"action": "UPDATE",', "", "row [0]  action is missing"),
        ("presentation_rules.json", "#CCCCCC", "grey", "frameColor is 'grey': A frame colour is hexadecimal"),
        ("export_summary.json", "{", "[", "is damaged: "),
        ("export_summary.json", '"counts"', '"count"', "is no summary of an export: it has no counts."),
        ("export_summary.json", '"cards": 3', '"cards": 4', "it has 3 rows, the summary says 4."),
        (
            "export_summary.json",
            "{",
            '{"kyndo": "1", "files": {"../cards.json": {}},',
            "names the file '../cards.json'",
        ),
        ("export_summary.json", "{", '{"kyndo": "1",', "names no file of presentation_rules, cards, assets"),
    ],
)
def test_a_damaged_file_is_refused_with_its_reason_and_nothing_is_changed(
    node: Path, name: str, old: str, new: str, reason: str
) -> None:
    damage(node, name, old, new)
    status, said = refusal(node, "--execute")
    assert status == 1
    assert reason in said
    assert not any(model.objects.exists() for model in TABLES)


def test_files_that_cannot_be_read_are_refused_with_their_name(node: Path, tmp_path: Path) -> None:
    summary = node / "export_summary.json"
    summary.rename(tmp_path / "summary.json")
    assert refusal(node) == (2, f"There is no export in {node}: it has no export_summary.json.")
    (tmp_path / "summary.json").rename(summary)
    cards = node / "cards.json"
    cards.rename(tmp_path / "elsewhere.json")
    assert refusal(node) == (1, f"{node} is no whole export: cards.json is missing.")
    cards.symlink_to(tmp_path / "elsewhere.json")
    assert refusal(node) == (1, f"{cards} was refused: cannot be read: it is a link.")
    cards.unlink()
    os.mkfifo(cards)
    assert refusal(node) == (1, f"{cards} was refused: it is no plain file.")
    cards.unlink()
    cards.write_bytes(b'[{"a": "\xe1"}]')
    assert refusal(node) == (1, f"{cards} was refused: not UTF-8: byte 0xe1.")
    assert refusal(tmp_path / "none") == (
        2, f"There is no export in {tmp_path}/none: No such file or directory.",
    )  # fmt: skip


def test_a_compressed_file_that_is_cut_off_or_no_gzip_is_refused(tmp_path: Path) -> None:
    fill()
    run("export_json", "--output", tmp_path / "e", "--compress")
    cards = tmp_path / "e" / "cards.json.gz"
    whole = cards.read_bytes()
    for content, reason in [
        (whole[:-1], f"it has {len(whole) - 1} bytes, the summary says {len(whole)}."),
        (whole[:200] + bytes([whole[200] ^ 255]) + whole[201:], ""),
        (b"no gzip".ljust(len(whole)), "not gzip: Not a gzipped file (b'no')."),
    ]:
        cards.write_bytes(content)
        status, said = refusal(tmp_path / "e", "--execute")
        assert status == 1
        assert said.startswith(f"{cards} was refused: {reason}")
    assert Card.objects.count() == 3


def test_what_the_database_refuses_half_way_is_taken_back_whole(node: Path) -> None:
    damage(node, "assets.json", "image/webp", "webp")
    status, said = refusal(node, "--execute")
    assert (status, "assets_mime_type_shape" in said) == (1, True)
    assert not any(model.objects.exists() for model in TABLES)
