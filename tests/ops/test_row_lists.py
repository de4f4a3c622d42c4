"""Failed rows and conflicts of a run: stored, listed page by page, and written to a file."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from django.db.models import Value

from ops.models import Run
from ops.operations import registry
from ops.operations.revert import Revert
from ops.operations.scope import Scope
from ops.runs import lifecycle
from ops.runs.conflicts import ConflictList
from ops.runs.row_lists import FailedRows
from tests.conftest import Manage
from tests.ops.conftest import RegisterOperation
from tests.ops.running import (
    RecordingMonitor,
    create_run,
    create_things,
    errors_by_object,
    execute_operation,
    execute_run,
    make_operation,
)
from tests.trials.models import Sort, Thing

pytestmark = pytest.mark.django_db(transaction=True)

REFUSED = "IF NEW.score >= 900 THEN RAISE EXCEPTION 'row % is refused', NEW.name; END IF; RETURN NEW;"


def annotate(**options: Any) -> Run:
    return create_run(registry.get_operation("trials_annotate"), **options)


def fail_rows(*names: str) -> None:
    Thing.objects.filter(name__in=names).update(score=900)


@pytest.fixture
def half_failed(trigger: Any) -> Run:
    """Paused after its two first rows, which failed; four more wait."""
    trigger("trials_thing", REFUSED, "BEFORE UPDATE OF note")
    create_things(6)
    fail_rows("t1", "t2")
    run = annotate(batch_size=1)
    return execute_run(
        run, RecordingMonitor(lambda number: run.failures.count() == 2 and lifecycle.pause(Run.objects.get()))
    )


def test_a_resume_keeps_the_failures_until_their_rows_are_tried_again(
    half_failed: Run, manage: Manage
) -> None:
    run = half_failed
    lifecycle.requeue(run)
    assert len(errors_by_object(run)) == 2
    shown = manage("runs", "show", run.pk).stdout
    assert shown.count("row t1 is refused, before the run was resumed; it will be tried again") == 1
    [first, second, end] = map(json.loads, manage("runs", "failures", run.pk, "--json").stdout.splitlines())
    assert (first["row"], second["row"], first["to_retry"], end["more"]) == ("t1", "t2", True, 0)
    execute_run(run)
    assert run.state == "finished_with_failures"
    assert [(row.name, row.to_retry) for row in FailedRows(run)] == [("t1", False), ("t2", False)]


def test_a_corrected_row_is_no_failure_after_a_resume(half_failed: Run) -> None:
    run = half_failed
    Thing.objects.filter(name="t1").update(score=1)
    lifecycle.requeue(run)
    changed = Thing.objects.exclude(note=None)
    execute_run(
        run,
        RecordingMonitor(
            lambda number: changed.filter(name="t1").exists() and lifecycle.pause(Run.objects.get())
        ),
    )
    assert [row.name for row in FailedRows(run)] == ["t2"]
    lifecycle.requeue(run)
    execute_run(run)
    assert (run.state, [row.name for row in FailedRows(run)]) == ("finished_with_failures", ["t2"])
    assert run.failures.count() == 1


def test_a_failure_whose_row_needs_no_change_ends_with_the_run(half_failed: Run) -> None:
    run = half_failed
    Thing.objects.filter(name__in=["t1", "t2"]).delete()
    lifecycle.requeue(run)
    execute_run(run)
    assert (run.state, errors_by_object(run)) == ("succeeded", {})


def test_a_failed_row_tried_again_has_its_new_error(half_failed: Run) -> None:
    Thing.objects.filter(name="t2").update(name="t2, cursed")
    lifecycle.requeue(half_failed)
    execute_run(half_failed)
    assert [row.error.partition("\n")[0] for row in FailedRows(half_failed)] == [
        "row t1 is refused",
        "row t2, cursed is refused",
    ]


def test_earlier_failures_do_not_count_after_a_resume(trigger: Any, manage: Manage) -> None:
    trigger("trials_thing", REFUSED, "BEFORE UPDATE OF note")
    create_things(4)
    fail_rows("t1", "t2")
    run = annotate(batch_size=1, max_failures=1)
    with pytest.raises(Exception, match="2 rows failed; --max-failures allows 1"):
        execute_run(run)
    Thing.objects.update(score=0)
    assert manage("runs", "resume", run.pk).returncode == 0


@pytest.fixture
def reverted() -> Run:
    """A revert that left 25 of 30 rows alone, one of them since it is gone."""
    rows = create_things(30)
    run = execute_operation(registry.get_operation("trials_annotate"))
    Thing.objects.filter(pk__in=[row.pk for row in rows[:24]]).update(note="mine")
    rows[24].delete()
    return execute_operation(Revert, params={"run": run.pk})


def type_and_read_lines(manage: Manage, typed: str) -> list[str]:
    done = manage(*shlex.split(typed)[1:])
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_conflicts_are_listed_page_by_page(reverted: Run, manage: Manage) -> None:
    head, *lines, end = type_and_read_lines(manage, f"manage.py runs conflicts {reverted.pk}")
    assert re.split("  +", head) == ["key", "row", "before the run -> after the run (value now)"]
    assert len(lines) == 20
    assert end.startswith("and 5 more: manage.py runs conflicts ")
    _, *rest = type_and_read_lines(manage, end.partition(": ")[2])
    by_name = {line.split()[1]: line for line in [*lines, *rest]}
    assert set(by_name) == {f"t{number}" for number in range(1, 25)} | {"-"}
    assert by_name["t3"].endswith("note: NULL -> t3 (now mine)")
    assert by_name["-"].split() == [deleted_row_key(reverted), "-", "deleted"]


def deleted_row_key(revert: Run) -> str:
    """A deleted row is named by its key."""
    [gone] = [row for row in ConflictList(revert) if row.is_deleted]
    return gone.object_id


def test_all_conflicts_go_to_a_file_as_json_lines(reverted: Run, manage: Manage, tmp_path: Path) -> None:
    file = tmp_path / "left.jsonl"
    assert manage("runs", "conflicts", reverted.pk, "--output", file).returncode == 0
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(rows) == 25
    assert rows == sorted(rows, key=lambda row: row["object_id"])
    assert {row["row"]: row["columns"]["note"] for row in rows}["t7"] == {
        "before": None,
        "wrote": "t7",
        "stands": "mine",
    }
    again = manage("runs", "conflicts", reverted.pk, "--output", file)
    assert (again.returncode, "exists already" in again.stderr) == (1, True)


def test_the_revert_names_the_command_that_lists_its_conflicts(reverted: Run, manage: Manage) -> None:
    assert (
        f"to list them: manage.py runs conflicts {reverted.pk}\n"
        in manage("runs", "show", reverted.pk).stdout
    )


def test_a_run_that_is_not_a_revert_names_its_revert(reverted: Run, manage: Manage) -> None:
    first = reverted.params["run"]
    output = manage("runs", "conflicts", first)
    assert output.returncode == 1
    assert output.stderr.rstrip().endswith(
        f"To list those of its revert: manage.py runs conflicts {reverted.pk}"
    )


def test_a_revert_under_way_has_no_conflicts_yet(manage: Manage) -> None:
    create_things(2)
    run = execute_operation(registry.get_operation("trials_annotate"))
    revert = create_run(Revert, params={"run": run.pk})
    output = manage("runs", "conflicts", revert.pk)
    assert (output.returncode, output.stdout) == (1, "")
    assert output.stderr.rstrip().endswith(f"manage.py runs resume {revert.pk}")


@pytest.mark.parametrize("verb", ["failures", "conflicts"])
def test_an_empty_list_says_so(manage: Manage, verb: str) -> None:
    create_things(2)
    revert = execute_operation(
        Revert, params={"run": execute_operation(registry.get_operation("trials_annotate")).pk}
    )
    nothing = {
        "failures": f"No row of run {revert.pk} has failed.",
        "conflicts": f"Run {revert.pk} has no conflicts.",
    }
    assert type_and_read_lines(manage, f"manage.py runs {verb} {revert.pk}") == [nothing[verb]]


def test_conflicts_of_a_revert_of_some_rows_are_those_among_them() -> None:
    rows = create_things(6)
    run = execute_operation(registry.get_operation("trials_annotate"))
    Thing.objects.filter(name__in=["t1", "t4"]).update(note="mine", score=5)
    by_key = execute_operation(Revert, params={"run": run.pk}, scope=Scope.of_keys([rows[0].pk, rows[1].pk]))
    assert [row.name for row in ConflictList(by_key)] == ["t1"]
    filtered = execute_operation(Revert, params={"run": run.pk}, scope=Scope(filter={"name": "t4"}))
    assert [row.name for row in ConflictList(filtered)] == ["t4"]


def test_current_values_are_written_as_in_the_audit_log(declare: RegisterOperation) -> None:
    row = Sort.objects.create(price="1.10", data={"a": [1, None]})
    declared = declare(
        make_operation(Sort.objects.filter(done=False), {"done": True, "price": Value("2.50")})
    )
    run = execute_operation(declared)
    Sort.objects.update(price="3.10")
    [left] = ConflictList(execute_operation(Revert, params={"run": run.pk}))
    assert left.object_id == str(row.pk)
    assert json.dumps(left.columns["price"]) == '{"before": 1.1, "wrote": 2.5, "stands": 3.1}'
