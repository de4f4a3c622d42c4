"""An invalid summary is refused in one line, by import_json and verify_export alike."""

import json
from pathlib import Path
from typing import Any

import pytest

from ops.exceptions import InvalidContent
from ops.export.summary import NotAnExportFolder, open_export
from ops.report.export import format_export_title

PARTS = ("cards",)
GOOD = {
    "exportedAt": "2026-01-01T00:00:00+00:00",
    "counts": {"cards": 0},
    "kyndo": "0.1.0",
    "files": {"cards.json": {"rows": 0, "bytes": 3, "sha256": "0" * 64}},
}


def open_error(folder: Path, text: str) -> str:
    (folder / "cards.json").write_text("[]\n")
    (folder / "export_summary.json").write_text(text)
    with pytest.raises((InvalidContent, NotAnExportFolder)) as raised:
        open_export(folder, PARTS)
    return str(raised.value)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"files": 5}, "files is not an object"),
        ({"files": None}, "files is not an object"),
        ({"files": ["cards.json"]}, "files is not an object"),
        ({"files": {"cards.json": 5}}, "does not say the rows, bytes and sha256 of cards.json."),
        ({"files": {"cards.json": {"rows": "0"}}}, "does not say the rows, bytes and sha256 of cards.json."),
        (
            {"files": {"cards.json": {"rows": True, "bytes": 3, "sha256": "0"}}},
            "does not say the rows, bytes and sha256 of cards.json.",
        ),
        (
            {"files": {"cards.json": {"rows": 10**40, "bytes": 3, "sha256": "0"}}},
            "does not say the rows, bytes and sha256 of cards.json.",
        ),
        ({"files": {}}, "names no file of cards."),
        (
            {"files": {**GOOD["files"], "cards.jsonl": GOOD["files"]["cards.json"]}},
            "names two files of cards",
        ),  # type: ignore[index, dict-item]
        ({"files": {"x" * 60_000: {}}}, "which no export has."),
        ({"counts": {"cards": 1}}, "contradicts itself: counts and files give cards.json different rows."),
        ({"counts": 5}, "it has no counts."),
        ({"exportedAt": {"a": 1}}, "exportedAt is not text."),
        ({"kyndo": 5}, "kyndo is not text."),
    ],
)
def test_a_summary_of_another_shape_is_refused_in_one_line(
    tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    message = open_error(tmp_path, json.dumps({**GOOD, **fields}))
    assert reason in message
    assert len(message) < 300
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value"),
        ("[" * 100_000, "Nested too deeply"),
        ('{"counts": {}, "counts": {}}', 'gives "counts" twice'),
        ('{"counts": {"cards": 1e99999999999999999999}}', "out of the database's range"),
        (f'{{"counts": {{"cards": {"9" * 5000}}}}}', "too many digits"),
        ('{"counts": {"cards": Infinity}}', "Infinity is not a JSON number"),
        (f'{{"counts": {{}}, "{"k" * 60_000}": 1, "{"k" * 60_000}": 2}}', "twice"),
    ],
)
def test_a_summary_that_is_not_json_is_refused_in_one_line(tmp_path: Path, text: str, reason: str) -> None:
    message = open_error(tmp_path, text)
    assert reason in message
    assert len(message) < 300


def test_a_lone_surrogate_in_the_summary_is_escaped(tmp_path: Path) -> None:
    (tmp_path / "cards.json").write_text("[]\n")
    (tmp_path / "export_summary.json").write_text(json.dumps({**GOOD, "exportedAt": "\ud800"}))
    open_export(tmp_path, PARTS).exported_at.encode()


@pytest.mark.parametrize(
    ("text", "formatted"),
    [
        ("2026-01-01T00:00:00.776965+00:00", "2026-01-01 00:00:00 UTC"),
        ("2026-01-01T00:00:00.000Z", "2026-01-01 00:00:00 UTC"),
        ("0001-01-01T00:00:00+23:00", "0001-01-01T00:00:00+23:00"),
        ("last year", "last year"),
    ],
)
def test_the_title_formats_the_time_of_the_export(tmp_path: Path, text: str, formatted: str) -> None:
    (tmp_path / "cards.json").write_text("[]\n")
    (tmp_path / "export_summary.json").write_text(json.dumps({**GOOD, "exportedAt": text}))
    assert f", exported at {formatted} by " in format_export_title(open_export(tmp_path, PARTS))
