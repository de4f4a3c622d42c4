"""What must hold before a step, and what ``migrate`` does while it does not."""

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, models
from django.utils import timezone

from ops.column_changes import gates, position
from ops.column_changes.gates import GateClosed
from ops.column_changes.migration_operations import CompareColumns, Gate, RecordStep
from ops.column_changes.steps import Step
from ops.formatting import format_time
from ops.models import Backup, ColumnChangeEvent, ColumnWriter, Run
from ops.operations import registry
from ops.session import database_name
from tests.ops.changing import migrated_table
from tests.ops.conftest import RegisterOperation
from tests.ops.dual_writing import Change, compile_trial, dual_written
from tests.ops.running import FILL, create_things, execute_operation, execute_sql, player

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

CHANGE = "rarity_v2"
HOUR = timedelta(hours=1)
STEPS = list(Step)


@pytest.fixture(autouse=True)
def _without_own_log() -> None:
    """Forget what the migrations of KYNDO recorded, which the first test of a database would find."""
    ColumnChangeEvent.objects.all().delete()


def take(*steps: Step, ago: timedelta = timedelta(), **values: Any) -> datetime:
    """Record the steps; return their time."""
    at = timezone.now() - ago
    for step in steps:
        ColumnChangeEvent.objects.create(
            change=CHANGE, step=step, performed_by="tester", created_at=at, **values
        )
    return at


def take_up_to(step: Step, ago: timedelta = timedelta()) -> datetime:
    return take(*STEPS[: step.position + 1], ago=ago)


def write(application: str, ago: timedelta) -> datetime:
    """Record a write through the old column; return its time."""
    at = timezone.now() - ago
    ColumnWriter.objects.create(change=CHANGE, application_name=application, last_written_at=at)
    return at


def missing(step: Step, wait: timedelta = timedelta(), **options: Any) -> str:
    return " ".join(gates.find_missing(CHANGE, step, wait, **options))


@pytest.mark.parametrize("step", [step for step in Step if step.previous and step is not Step.DROP])
def test_a_step_needs_the_one_before_it(step: Step) -> None:
    assert step.previous
    assert missing(step) == (
        f"The step {step.previous} comes before it: manage.py column_change rarity_v2 next."
    )
    take_up_to(step.previous)
    assert missing(step) == ""
    take(step.previous, is_back=True)
    assert missing(step).startswith(f"The step {step.previous} comes before it")


def test_taking_a_step_back_takes_back_those_after_it() -> None:
    take_up_to(Step.SWITCH)
    take(Step.EXPAND, is_back=True)
    take(Step.EXPAND)
    assert position.current_step(CHANGE) is Step.EXPAND


def test_after_each_backfill_the_table_is_verified_again() -> None:
    take_up_to(Step.VERIFY)
    take(Step.BACKFILL)
    assert missing(Step.CONSTRAIN) == (
        "Nothing was verified since the last backfill. To verify it: manage.py column_change rarity_v2 next."
    )
    take(Step.VERIFY)
    assert missing(Step.CONSTRAIN) == ""


def test_a_run_that_wrote_the_column_since_verify_closes_the_gate(declare: RegisterOperation) -> None:
    declare(FILL)
    create_things(2)
    run = execute_operation(FILL)
    take(Step.EXPAND)
    take(Step.BACKFILL, run=run)
    take(Step.VERIFY)
    assert missing(Step.CONSTRAIN) == ""
    revert = execute_operation(registry.get_operation("revert"), params={"run": run.pk})
    assert missing(Step.CONSTRAIN).startswith(f"Run {revert.pk} (revert) ended at ")
    Run.objects.filter(pk=revert.pk).update(state="running", finished_at=None)
    assert missing(Step.CONSTRAIN).startswith(f"Run {revert.pk} (revert) writes the column, and is running.")
    Run.objects.filter(pk=revert.pk).update(columns=["name"])
    assert missing(Step.CONSTRAIN) == ""


def test_retire_waits_until_nobody_has_written_the_old_column() -> None:
    take_up_to(Step.SWITCH, ago=50 * HOUR)
    assert missing(Step.RETIRE, 48 * HOUR) == ""
    psql, web = write("psql", 5 * HOUR), write("web\x1b", HOUR)
    assert missing(Step.RETIRE, 48 * HOUR) == (
        f"The old column was written by web\\u001b at {format_time(web)}, psql at {format_time(psql)}."
        " The step needs 48 h in which nobody writes the old column."
        f" If nobody does, it may be taken at {format_time(web + 48 * HOUR)}:"
        " manage.py column_change rarity_v2 next."
    )
    assert missing(Step.RETIRE, timedelta(minutes=59)) == ""
    assert missing(Step.RETIRE) == ""


def test_of_many_writers_the_last_ones_are_named() -> None:
    take_up_to(Step.SWITCH, ago=9 * HOUR)
    for number in range(8):
        write(f"web{number}", number * timedelta(minutes=1))
    assert re.search(r"by web0 at .* web4 at [^,]* and 3 others\. The step", missing(Step.RETIRE, HOUR))


def test_without_a_write_retire_waits_since_expand() -> None:
    write("psql", 5 * HOUR)
    since = format_time(take_up_to(Step.SWITCH, ago=HOUR))
    assert missing(Step.RETIRE, 2 * HOUR).startswith(f"The step expand was taken at {since}. The step needs")


def test_the_clock_is_that_of_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    take_up_to(Step.SWITCH)
    monkeypatch.setattr(timezone, "now", lambda: pytest.fail("the clock of this machine was asked"))
    assert missing(Step.RETIRE, HOUR)


def test_a_swap_needs_no_switch_and_does_not_wait_for_writers() -> None:
    """The name that all code goes on writing is that of the old column."""
    take_up_to(Step.VERIFY)
    write("web", timedelta())
    assert missing(Step.RETIRE, HOUR, swap=True).startswith("The step constrain comes before it")
    take(Step.CONSTRAIN)
    assert missing(Step.RETIRE, HOUR, swap=True) == ""


@pytest.fixture
def retired() -> datetime:
    """The time at which the old column was retired."""
    return take_up_to(Step.RETIRE, ago=5 * HOUR)


def back_up(file: Path, ago: timedelta, **values: Any) -> Backup:
    file.touch()
    started_at = timezone.now() - ago
    return Backup.objects.create(
        path=str(file),
        started_at=started_at,
        **{
            "database": database_name(),
            "size": 1,
            "duration": HOUR,
            "counts": {},
            "verified_at": started_at,
            **values,
        },
    )


def test_a_drop_waits_and_needs_a_later_verified_backup(retired: datetime, tmp_path: Path) -> None:
    retired_at = format_time(retired)
    none = f"No verified backup began after it was retired at {retired_at}"
    assert missing(Step.DROP, 6 * HOUR) == (
        f"The old column was retired at {retired_at}, and is kept for 6 h, until"
        f" {format_time(retired + 6 * HOUR)}: manage.py column_change rarity_v2 next."
        f" {none}. Make one: manage.py backup_db --verify."
    )
    assert missing(Step.DROP, 5 * HOUR).startswith(none)
    early = back_up(tmp_path / "early.dump", 6 * HOUR)
    assert missing(Step.DROP).startswith(f"{none}; the newest began at {format_time(early.started_at)}.")
    late = back_up(tmp_path / "late.dump", 4 * HOUR, verified_at=None)
    assert missing(Step.DROP).startswith(none)
    Backup.objects.filter(pk=late.pk).update(verified_at=timezone.now())
    assert missing(Step.DROP) == ""
    late.file.unlink()
    assert missing(Step.DROP).startswith(none)


def test_a_gate_stops_a_migration_unless_the_table_is_empty() -> None:
    gate = Gate(CHANGE, "retire", "item", HOUR)
    with migrated_table(rarity=models.TextField()) as table:
        table.create()
        table.apply(gate)
        execute_sql("INSERT INTO shop_item (rarity) VALUES ('epic')")
        with pytest.raises(
            GateClosed, match=r"^rarity_v2: the step retire has to wait\. The step switch"
        ) as raised:
            table.apply(gate)
        assert str(raised.value).endswith(" To see where it stands: manage.py column_change rarity_v2")
        assert raised.value.exit_status == 3
        take_up_to(Step.SWITCH, ago=2 * HOUR)
        table.apply(gate)


@pytest.mark.parametrize("keeps", [False, True])
def test_rows_that_differ_stop_migrate_until_they_agree(keeps: bool) -> None:
    mapping = {"mapping": {"a": "A", "b": "B"}, "unmappable": "keep" if keeps else "refuse"}
    change = Change(models.TextField(), models.TextField(null=True), [], [], declared=mapping)
    with dual_written(change) as table, player() as other:
        compare = CompareColumns(compile_trial(table, change))
        execute_sql("INSERT INTO shop_item (value) VALUES ('a'), ('a'), ('a'), ('b')")
        table.apply(compare)
        other.execute("SET session_replication_role = replica; SET statement_timeout = '5s'")
        other.execute("UPDATE shop_item SET value_v2 = 'B' WHERE id = 1")
        other.execute("UPDATE shop_item SET value_v2 = 'none' WHERE id = 2")
        other.execute("UPDATE shop_item SET value_v2 = NULL WHERE id = 3")
        other.commit()
        compare = CompareColumns(compile_trial(table, change))
        with pytest.raises(GateClosed) as raised:
            table.apply(compare)
        assert str(raised.value).startswith(
            f"trial: value and value_v2 differ in {'1 row' if keeps else '2 rows'} of shop_item. To see"
        )
        commands = re.findall(r"""-c '([^']*(?:'"'"'[^']*)*)'""", str(raised.value))
        show, correct = (command.replace("""'"'"'""", "'") for command in commands)
        assert sorted(key for key, *_ in execute_sql(show)) == ([1] if keeps else [1, 2])
        execute_sql("SET ops.dual_write = off")
        execute_sql(correct)
        execute_sql("RESET ops.dual_write")
        assert execute_sql("SELECT value FROM shop_item ORDER BY id") == [("b",), ("a",), ("a",), ("b",)]
        execute_sql("UPDATE shop_item SET value = 'b' WHERE id = 2")
        table.apply(compare)


def test_a_gate_lets_sqlmigrate_through() -> None:
    with migrated_table(rarity=models.TextField()) as table:
        table.create()
        execute_sql("INSERT INTO shop_item (rarity) VALUES ('epic')")
        with connection.schema_editor(collect_sql=True) as editor:
            Gate(CHANGE, "drop", "item").database_forwards("shop", editor, table.state, table.state)
        assert editor.collected_sql == []


def test_why_a_step_did_not_wait_is_recorded() -> None:
    with migrated_table(rarity=models.TextField()) as table:
        table.create()
        table.apply(RecordStep(CHANGE, "retire", reason="The table is not in use yet."))
        table.unapply()
        events = position.list_events(CHANGE)
        assert [(event.is_back, event.reason) for event in events] == [
            (False, "The table is not in use yet."),
            (True, ""),
        ]
