"""`migration_log` fills the guide's template with the history of the database."""

import re
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from ops.atomic_files import WriteFailed, write_atomically
from ops.models import Run
from ops.parsing import parse_duration, parse_size, parse_timestamp
from tests.ops.output import mask_output
from tests.ops.running import create_things, execute_operation, execute_sql
from tests.trials.operations import Annotate, SetScore

pytestmark = pytest.mark.django_db(transaction=True)

NOTE = ("--note", "The site was slow for a minute.")


def log(*options: str) -> str:
    out = StringIO()
    call_command("migration_log", "--as", "DevOps", *options, stdout=out)
    return out.getvalue()


def test_the_template_is_filled_with_migrations_and_runs() -> None:
    create_things(3)
    execute_operation(Annotate)
    execute_sql("UPDATE trials_thing SET note = 'long gone' WHERE name = 't1'")
    execute_operation(SetScore, params={"score": 1500})
    migrated = MigrationRecorder(connection).migration_qs.get(app="cards", name="0002_card_rarity_v2")
    MigrationRecorder.Migration.objects.exclude(pk=migrated.pk).update(
        applied=datetime(2024, 1, 1, tzinfo=UTC)
    )
    started = timezone.now() - timedelta(minutes=5)
    MigrationRecorder.Migration.objects.filter(pk=migrated.pk).update(applied=started)
    text = log("--since", "1h", "--title", "Notes", *NOTE)
    first, second = Run.objects.order_by("pk")
    masked = re.sub(r"\d\d:\d\d:\d\d", "CLOCK", mask_output(text)).replace(f"{started:%Y-%m-%d}", "DATE")
    assert masked.startswith(
        "## Migration: Notes\n**Date**: DATE\n**Applied By**: DevOps, tester\n**Duration**: "
    )
    assert [line for line in masked.splitlines() if re.match(r"\d\.", line)] == [
        "1. ✅ Applied `cards.0002_card_rarity_v2` at CLOCK",
        "2. ✅ Run N, `trials_annotate`: 3 of 3 rows changed in DURATION, RATE rows/s, by tester",
        "3. ⚠️ Run N, `trials_score`, score=1500: 0 of 3 rows changed, 3 failed in DURATION, RATE rows/s,"
        " by tester: finished with failures",
    ]
    after = masked.partition("### Post-Migration\n")[2]
    assert "- Rows of `trials_thing`: 3\n" in after
    assert "- ✅ things without a note: 0\n" in after
    assert "### Issues/Notes\n- The site was slow for a minute.\n- Run N, row " in after
    assert text.count("trials_thing_score_small") == 3
    assert (first.pk, second.pk) == tuple(map(int, re.findall(r"\. .. ?Run (\d+)", text)))


def test_the_backup_before_the_migration_is_listed_with_row_counts(tmp_path: Path, settings: Any) -> None:
    settings.BACKUP_DIR = tmp_path
    create_things(4)
    call_command("backup_db", str(tmp_path / "before.dump"), stdout=StringIO())
    started = timezone.now()
    execute_operation(Annotate)
    call_command("backup_db", str(tmp_path / "after.dump"), stdout=StringIO())
    text = log("--since", started.isoformat())
    assert re.search(r"\n- Backup: `before.dump` \([\d.]+ .?B, [\d :-]+ UTC, not verified\)\n", text)
    assert "- Rows of `trials_thing` in it: 4\n" in text


def test_the_log_says_so_if_no_backup_was_made_before_the_first_step(tmp_path: Path, settings: Any) -> None:
    settings.BACKUP_DIR = tmp_path
    started = timezone.now()
    execute_operation(Annotate)
    call_command("backup_db", str(tmp_path / "after.dump"), stdout=StringIO())
    clock_time = f"{Run.objects.get().created_at:%H:%M:%S}"
    text = log("--since", started.isoformat())
    assert f"\n- Backup: none was made before the first step ({clock_time})\n" in text


def test_the_log_says_so_if_nothing_was_done() -> None:
    text = log("--since", f"{timezone.now() + timedelta(days=1):%Y-%m-%d}")
    assert "## Migration: nothing was done\n" in text
    assert "**Duration**: none\n" in text
    assert text.endswith("### Issues/Notes\n- None\n")


def test_an_existing_file_is_replaced_with_overwrite_only(tmp_path: Path) -> None:
    file = tmp_path / "log.md"
    assert log("--output", str(file)) == f"Written: {file}\n"
    before = file.read_text()
    with pytest.raises(CommandError, match="exists already; to replace it, add --overwrite"):
        log("--output", str(file), *NOTE)
    assert file.read_text() == before
    log("--output", str(file), "--overwrite", *NOTE)
    assert NOTE[1] in file.read_text()
    assert list(tmp_path.iterdir()) == [file]


def test_a_failed_write_leaves_the_existing_file(tmp_path: Path) -> None:
    file = tmp_path / "log.md"
    file.write_text("before")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(file, "half \ud800", overwrite=True)
    with pytest.raises(WriteFailed, match="cannot be written: No such file"):
        write_atomically(tmp_path / "no" / "log.md", "text", overwrite=False)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("15min", 900), ("1h 30min", 5400), ("2d", 172800), ("0", 0), ("None", 0)]
)
def test_durations_are_parsed(text: str, seconds: int) -> None:
    assert parse_duration(text).total_seconds() == seconds


def test_sizes_and_times_are_parsed() -> None:
    assert [parse_size(text) for text in ("512", "1.5 kB", "200GB")] == [512, 1500, 200 * 10**9]
    assert parse_timestamp("2026-11-25") == datetime(2026, 11, 25, tzinfo=UTC)
    assert parse_timestamp("2026-11-25 14:30") == datetime(2026, 11, 25, 14, 30, tzinfo=UTC)
    before = timezone.now()
    assert before <= parse_timestamp("2h") + timedelta(hours=2) <= timezone.now()


@pytest.mark.parametrize("text", ["", "soon", "15", "15 parsecs", "1h 30", "99999999999999d", "2026-13-45"])
def test_an_invalid_duration_or_time_is_refused(text: str) -> None:
    for option in ("--since", "--downtime"):
        command = "migration_log" if option == "--since" else "preflight"
        with pytest.raises(CommandError, match=f"argument {option}: {text!r} is not a"):
            call_command(command, option, text)
