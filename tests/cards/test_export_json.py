import gzip
import hashlib
import io
import json
import threading
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, models

from cards.models import Asset, Card, PresentationRule
from ops.export.folder import TargetNotWritable, atomic_directory
from ops.export.summary import SUMMARY_FILENAME
from ops.models import AuditLog
from tests.cards.nasty import NASTY, fill
from tests.processes import limited_file_size

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.engine]

MODELS: dict[str, type[models.Model]] = {
    "cards": Card,
    "presentation_rules": PresentationRule,
    "assets": Asset,
    "audit_logs": AuditLog,
}


def export(target: Path, *flags: str) -> str:
    stdout = io.StringIO()
    call_command("export_json", "--output", target, *flags, stdout=stdout)
    return stdout.getvalue()


def export_error(target: Path, *flags: str) -> tuple[int, str]:
    with pytest.raises(CommandError) as caught:
        export(target, *flags)
    return caught.value.returncode, str(caught.value)


def parsed(content: bytes, lines: bool) -> list[dict[str, Any]]:
    if not lines:
        return json.loads(content, parse_float=Decimal)  # type: ignore[no-any-return]
    return [json.loads(line, parse_float=Decimal) for line in content.split(b"\n")[:-1]]


def table(model: type[models.Model]) -> list[dict[str, Any]]:
    """The rows as the database holds them; JSON with all the digits of its numbers."""
    documents = [f.column for f in model._meta.concrete_fields if isinstance(f, models.JSONField)]
    rows = list(model._default_manager.order_by("pk").values())
    with connection.cursor() as cursor:
        for name in documents:
            cursor.execute(f'SELECT "{name}"::text FROM "{model._meta.db_table}" ORDER BY id')
            for row, (text,) in zip(rows, cursor.fetchall(), strict=True):
                row[name] = None if text is None else json.loads(text, parse_float=Decimal)
    return rows


def as_exported(row: dict[str, Any]) -> dict[str, Any]:
    """What a row looks like in its file: times as text, and an audit row's run in its metadata."""
    if run := row.pop("run_id", None):
        row["metadata"] = {**(row["metadata"] or {}), "run": run}
    return row


@pytest.mark.parametrize("form", ["json", "jsonl"])
@pytest.mark.parametrize("compress", [False, True])
def test_every_exported_byte_is_what_the_tables_hold(tmp_path: Path, form: str, compress: bool) -> None:
    fill()
    export(tmp_path / "e", "--format", form, *(["--compress"] if compress else []))
    summary = json.loads((tmp_path / "e" / "export_summary.json").read_bytes())
    for name, model in MODELS.items():
        file = f"{name}.{form}{'.gz' if compress else ''}"
        stored = (tmp_path / "e" / file).read_bytes()
        rows = parsed(gzip.decompress(stored) if compress else stored, form == "jsonl")
        for row in rows:
            row.update({key: datetime.fromisoformat(row[key]) for key in row if key.endswith("_at")})
        assert rows == [as_exported(row) for row in table(model)]
        expected = {"rows": len(rows), "bytes": len(stored), "sha256": hashlib.sha256(stored).hexdigest()}
        assert summary["files"][file] == expected
    assert NASTY in {card.title for card in Card.objects.all()}
    assert summary["counts"] == {"cards": 3, "presentationRules": 2, "assets": 1, "auditLogs": 4}
    assert summary["kyndo"] == "0.1.0"
    assert "0001_catalogue" in summary["migrations"]["cards"]


def test_an_empty_catalogue_is_four_empty_lists(tmp_path: Path) -> None:
    export(tmp_path / "e")
    assert {(tmp_path / "e" / f"{name}.json").read_text() for name in MODELS} == {"[]\n"}


@pytest.mark.parametrize(
    ("option", "kept"), [("2", [2, 3]), ("0", []), ("9", [0, 1, 2, 3]), ("all", [0, 1, 2, 3])]
)
def test_the_last_audit_rows_are_exported_in_their_order(
    tmp_path: Path, option: str, kept: list[int]
) -> None:
    fill()
    export(tmp_path / "e", "--audit-logs", option)
    rows = json.loads((tmp_path / "e" / "audit_logs.json").read_bytes())
    assert [int(row["object_id"]) for row in rows] == kept


def test_overwrite_replaces_an_export_and_no_other_folder(tmp_path: Path) -> None:
    target = tmp_path / "e"
    export(target)
    assert export_error(target) == (
        2, f"{target} exists. Name another folder, or replace it with --overwrite.",
    )  # fmt: skip
    fill()
    export(target, "--overwrite", "--format", "jsonl")
    assert sorted(path.name for path in target.iterdir()) == sorted(
        ["export_summary.json", *(f"{name}.jsonl" for name in MODELS)]
    )
    (target / "letter.txt").write_text("mine")
    status, message = export_error(target, "--overwrite")
    assert (status, message.endswith("it is not overwritten. Name another folder.")) == (2, True)
    assert (target / "letter.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["e"]


def test_an_export_that_a_killed_process_renamed_is_restored_first(tmp_path: Path) -> None:
    target, previous = tmp_path / "e", tmp_path / ".e.old"
    export(target)
    names = {path.name for path in target.iterdir()}
    target.rename(previous)
    status, message = export_error(target)
    assert (status, message.startswith(f"{target} exists.")) == (2, True)
    assert (target / "export_summary.json").exists()
    target.rename(previous)
    with (
        pytest.raises(TargetNotWritable),
        atomic_directory(target, overwrite=True, marker=SUMMARY_FILENAME, allowed=names),
    ):
        raise OSError("no room")
    assert [path.name for path in tmp_path.iterdir()] == ["e"]


def test_a_link_a_file_and_a_missing_parent_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path)
    assert export_error(tmp_path / "file", "--overwrite") == (
        2,
        f"{tmp_path}/file is not a folder: name another.",
    )
    assert export_error(tmp_path / "link", "--overwrite") == (2, f"{tmp_path}/link is a link: name another.")
    assert export_error(tmp_path / "a" / "b") == (2, f"There is no folder {tmp_path}/a to make b in.")


def test_a_failed_export_leaves_nothing_behind(tmp_path: Path) -> None:
    fill()
    (tmp_path / ".e.partial").mkdir()  # a killed export's
    (tmp_path / ".e.partial" / "cards.json").write_text("[")
    with limited_file_size(3000):
        status, message = export_error(tmp_path / "e")
    assert (status, message) == (1, f"Nothing was exported: {tmp_path}/e cannot be written: File too large.")
    assert list(tmp_path.iterdir()) == []
    assert Card.objects.count() == 3  # the connection can be used: its COPY was ended


def test_a_second_export_to_the_same_folder_is_refused(tmp_path: Path) -> None:
    from ops.export.folder import atomic_directory

    with atomic_directory(tmp_path / "e", overwrite=False, marker="m", allowed=()):
        status, message = export_error(tmp_path / "e")
    assert (status, message) == (
        2,
        f"Another export is being written to the same place, in {tmp_path}/.e.partial."
        " Wait until it has ended, or name another folder.",
    )


def test_all_files_are_of_one_snapshot_while_200_changes_a_second_go_on(tmp_path: Path) -> None:
    """Each card is created with its asset and audit row, so every file has the same cards."""
    stop, count = threading.Event(), [0]

    def write() -> None:
        while not stop.wait(0.003):
            with connection.cursor() as cursor:
                count[0] += 1
                cursor.execute(
                    "WITH c AS (INSERT INTO cards (card_id, title, pack_id) VALUES (%s, 't', 'p')"
                    " RETURNING id),"
                    " a AS (INSERT INTO assets (asset_key, asset_type, file_path, file_size, mime_type,"
                    " checksum, card_id) SELECT 'k' || id, 't', 'f', 1, 'a/b', repeat('0', 64), id FROM c)"
                    " INSERT INTO audit_logs (action, object_type, object_id, performed_by, changes)"
                    " SELECT 'made', 'cards.card', id::text, 'p', '{}' FROM c",
                    [f"c{count[0]}"],
                )
        connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in range(5):
            before = count[0]
            export(tmp_path / f"e{number}", "--audit-logs", "all")
            rows = {
                name: json.loads((tmp_path / f"e{number}" / f"{name}.json").read_bytes()) for name in MODELS
            }
            cards = [row["id"] for row in rows["cards"]]
            assert len(cards) >= before - 1
            assert [row["card_id"] for row in rows["assets"]] == cards
            assert [int(row["object_id"]) for row in rows["audit_logs"]] == cards
    finally:
        stop.set()
        thread.join()
    assert count[0] > 0
