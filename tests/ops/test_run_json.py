"""The keys of JSON output, which belong to the version of the format."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.db.models.functions import Now

from ops.models import Failure, Run
from ops.operations import registry
from ops.operations.revert import Revert
from ops.report.document import FORMAT_VERSION
from ops.report.reporters import JsonLinesReporter
from ops.runs import lifecycle
from ops.runs.progress import read_progress
from ops.states import State
from ops.stats import queues as stats
from tests.conftest import Manage
from tests.ops.running import create_run, create_things, execute_operation
from tests.trials.models import Thing

pytestmark = pytest.mark.django_db(transaction=True)

# To change or take away one of these is to raise VERSION.
PROGRESS = {"run", "operation", "state", "total", "changed", "failed", "batches", "sweep", "elapsed"}
HOLD = {"held_until", "held_reason"}
RUN = {
    "event",
    "version",
    *PROGRESS,
    *HOLD,
    "status",
    "params",
    "scope",
    "model",
    "columns",
    "performed_by",
    "follows",
    "origin",
    "approval",
    "without_backup",
    "workers",
    "batch_size",
    "max_rate",
    "max_failures",
    "created_at",
    "started_at",
    "finished_at",
    "checks",
    "error",
    "error_code",
    "ignored_health",
    "silent_health",
    "reverts",
    "reverted_by",
    "failures",
    "failures_total",
    "conflicts",
    "conflicts_total",
    "next",
}
PREVIEW = {"event", "version", "operation", "total", "breakdown", "samples", "remarks", "seconds"}
FAILURE = {"object_id", "row", "error", "at", "to_retry"}
CONFLICT = {"object_id", "row", "gone", "columns"}


def read_documents(manage: Manage, *args: object, status: int = 0) -> list[dict[str, Any]]:
    done = manage(*args)
    assert (done.returncode, done.stderr) == (status, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_version_belongs_to_these_keys() -> None:
    assert FORMAT_VERSION == 1


def test_every_document_of_a_run_has_exactly_these_keys(manage: Manage, redis_server: Any) -> None:
    create_things(3)
    [preview] = read_documents(manage, "operate", "trials_annotate", "--json")
    [queued] = read_documents(manage, "operate", "trials_annotate", "--json", "--execute", "--queue")
    [cancelled] = read_documents(manage, "runs", "cancel", queued["run"], "--json")
    *_, finished = read_documents(manage, "operate", "trials_annotate", "--json", "--execute")
    [shown] = read_documents(manage, "runs", "show", finished["run"], "--json")
    listed = read_documents(manage, "runs", "--json")
    assert set(preview) == PREVIEW
    assert set(queued) == RUN | {"warning"}
    for document in (cancelled, finished, shown, *listed):
        assert set(document) == RUN
    assert {document["version"] for document in (preview, queued, finished, shown)} == {FORMAT_VERSION}


def test_progress_documents_have_these_keys() -> None:
    run, out = create_run(registry.get_operation("trials_annotate")), StringIO()
    run.held_until, run.held_reason = run.created_at, "disk: full"
    watcher = JsonLinesReporter(run, out)
    watcher.show(read_progress(run), 5)
    watcher.on_retry("why")
    watcher.on_hold(run)
    watcher.on_note("so")
    progress, waiting, hold, note = map(json.loads, out.getvalue().splitlines())
    assert set(progress) == {"event", "version", *PROGRESS, "rate", "batch_size"}
    assert set(waiting) == {"event", "version", "reason"}
    assert set(hold) == {"event", "version", *HOLD, "next"}
    assert set(note) == {"event", "version", "note"}


@pytest.mark.parametrize("stored", [int, str])  # `operate revert --run 1` stores text
def test_failures_and_conflicts_have_their_number(manage: Manage, stored: type[int | str]) -> None:
    rows = create_things(30)
    run = execute_operation(registry.get_operation("trials_annotate"))
    Thing.objects.update(note="mine")
    Failure.objects.bulk_create(Failure(run=run, object_id=str(row.pk), error="no") for row in rows)
    revert = execute_operation(Revert, params={"run": stored(run.pk)})
    [failed] = read_documents(manage, "runs", "show", run.pk, "--json")
    assert (len(failed["failures"]), failed["failures_total"]) == (20, 30)
    assert set(failed["failures"][0]) == FAILURE
    assert (failed["conflicts"], failed["conflicts_total"], failed["reverted_by"]) == ([], 0, [revert.pk])
    [left] = read_documents(manage, "runs", "show", revert.pk, "--json")
    assert (len(left["conflicts"]), left["conflicts_total"], left["reverts"]) == (20, 30, run.pk)
    assert set(left["conflicts"][0]) == CONFLICT
    assert [
        set(row) for row in read_documents(manage, "runs", "conflicts", revert.pk, "--json", "--limit", 1)
    ] == [
        {"event", "version", "run", *CONFLICT},
        {"event", "version", "run", "told", "more", "next"},
    ]
    assert set(read_documents(manage, "runs", "failures", run.pk, "--json", "--limit", 1)[0]) == {
        "event",
        "version",
        "run",
        *FAILURE,
    }


def test_a_document_has_the_request_and_its_time(manage: Manage) -> None:
    create_things(1, score=3)
    manage("operate", "trials_score", "--score", 5, "--filter", "name=t1", "--execute", "--as", "ada")
    [run] = read_documents(manage, "runs", "--json")
    assert (run["params"], run["performed_by"]) == ({"score": "5"}, "ada")
    assert run["scope"] == {"filter": {"name": "t1"}, "keys": False}
    assert run["created_at"] <= run["started_at"] <= run["finished_at"]
    assert [step["command"] for step in run["next"]] == [
        f"manage.py runs show {run['run']}",
        f"manage.py runs revert {run['run']}",
    ]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"working_since": Now() - timedelta(minutes=1)}, "stalled"),
        ({"held_until": Now() + timedelta(minutes=1), "held_reason": "disk: full"}, "held"),
        ({}, "running"),
    ],
)
def test_a_run_has_the_same_status_everywhere(
    manage: Manage, redis_server: Any, changes: dict[str, Any], status: str
) -> None:
    create_things(1)
    run = create_run(registry.get_operation("trials_annotate"))
    lifecycle.start(run)
    Run.objects.update(**changes)
    [document] = read_documents(manage, "runs", "--json")
    [shown] = read_documents(manage, "runs", "show", run.pk, "--json")
    [active] = stats.as_json(stats.read_stats())["runs"]
    listed = manage("runs").stdout.splitlines()[1].split()[2]
    head = manage("runs", "show", run.pk).stdout.splitlines()[0]
    in_table = manage("queue_stats").stdout
    assert [document["status"], shown["status"], active["status"], listed] == [status] * 4
    assert head == f"Run {run.pk}: trials_annotate, {status}"
    assert f"trials_annotate  {status}" in in_table
    assert document["state"] == "running"  # what is stored, and what moves are allowed from


@pytest.mark.parametrize("state", State)
def test_runs_show_exits_with_1_for_a_run_without_success(manage: Manage, state: State) -> None:
    run = create_run(registry.get_operation("trials_annotate"))
    Run.objects.update(state=state)
    ended_badly = {State.FAILED, State.FINISHED_WITH_FAILURES, State.VERIFICATION_FAILED, State.CANCELLED}
    for args in (["runs", "show", run.pk], ["runs", "show", run.pk, "--json"]):
        assert manage(*args).returncode == (state in ended_badly)
    assert manage("runs").returncode == 0


def test_a_check_names_its_scope(manage: Manage) -> None:
    create_things(2)
    Thing.objects.create(name="other", score=7)
    done = manage("operate", "trials_annotate", "--filter", "score=7", "--execute")
    assert "  ok      things without a note: 0 (scope: score=7)\n" in done.stdout
    [run] = read_documents(manage, "runs", "--json")
    assert run["checks"] == [{"label": "things without a note", "found": 0, "sample": [], "scope": "score=7"}]
    over_all = manage("operate", "trials_annotate", "--execute")
    assert "  ok      things without a note: 0\n" in over_all.stdout
