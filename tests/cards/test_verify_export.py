"""What verify_export reports of an export, and its progress."""

import io
import json
import os
import shutil
from pathlib import Path

import pytest
from django.core.management import call_command

from cards.exports.parts import PART_NAMES
from ops.export.summary import open_export
from ops.export.verify import verify_export
from ops.report.transfer import LineProgress
from tests.cards.nasty import fill

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    fill()
    call_command("export_json", "--output", tmp_path / "e", stdout=io.StringIO())
    return tmp_path / "e"


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """An export of the Node backend whose summary has no number of cards."""
    folder = Path(shutil.copytree(Path(__file__).parent / "node_export", tmp_path / "node"))
    summary = folder / "export_summary.json"
    summary.write_text(summary.read_text().replace('"cards": 3', '"cards": "many"'))
    return folder


class EveryUpdate(LineProgress):
    """Shows every update."""

    interval = 0.0


def progress(folder: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines of progress, without the speed and the time left."""
    verify_export(open_export(folder, PART_NAMES), EveryUpdate())
    return [", ".join(line.split(", ")[:2]) for line in capsys.readouterr().out.splitlines()]


def verified(folder: Path, *flags: str) -> tuple[int, str]:
    out, status = io.StringIO(), 0
    try:
        call_command("verify_export", folder, *flags, stdout=out)
    except SystemExit as exc:
        status = int(exc.code or 0)
    return status, out.getvalue()


def test_progress_counts_the_rows_of_all_files(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = progress(export, capsys)
    assert "5 of 10 rows (50 %), now cards.json" in lines
    assert lines[-1] == "10 of 10 rows (100 %), now audit_logs.json"


def test_missing_rows_of_a_damaged_file_are_subtracted_from_the_total(
    export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.truncate(export / "cards.json", 100)
    assert progress(export, capsys)[-1] == "7 of 7 rows (100 %), now audit_logs.json"


def test_without_a_number_of_rows_no_percentage_is_shown(
    node: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert progress(node, capsys)[-1] == "10 rows, now audit_logs.json"


def test_the_report_says_what_was_checked_and_what_was_not(export: Path, node: Path) -> None:
    status, output = verified(node)
    *_, last = lines = output.splitlines()
    assert status == 0
    assert [line.split()[-1] for line in lines[2:6]] == ["ok", "read", "ok", "ok"]
    assert last == (
        "Every file could be read. The summary has no checksums, and no number of rows for cards.json,"
        " so rows may be missing."
    )
    checked = {}
    for folder in (node, export):
        files = json.loads(verified(folder, "--json")[1].splitlines()[-1])["files"]
        checked[folder] = [files[name]["checked"] for name in ("cards.json", "assets.json")]
    assert checked == {node: [[], ["rows"]], export: [["rows", "bytes", "sha256"]] * 2}


def test_a_damaged_file_has_no_rows_and_size_in_the_report(export: Path) -> None:
    size = (export / "cards.json").stat().st_size
    os.truncate(export / "cards.json", 100)
    status, output = verified(export)
    assert status == 1
    assert f"cards.json - - DAMAGED: it has 100 bytes, the summary says {size:,}." in " ".join(output.split())
    status, output = verified(export, "--json")
    assert (status, json.loads(output)["files"]["cards.json"]["rows"]) == (1, None)


def test_one_row_is_counted_in_the_singular(export: Path) -> None:
    status, output = verified(export)
    assert status == 0
    assert "assets.json 1 row " in " ".join(output.split())
