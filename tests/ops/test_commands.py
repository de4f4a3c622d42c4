"""The commands `operate` and `runs`: previews, execution, lists, errors."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from ops.models import AuditLog, Run
from ops.runs import lifecycle
from ops.runs.creation import RunRequest, create_run
from tests.conftest import Manage
from tests.ops.output import assert_output
from tests.ops.running import RecordingMonitor, create_things, execute_run
from tests.trials.models import Thing
from tests.trials.operations import Annotate, SetScore

ANNOTATE = ("operate", "trials_annotate")


def test_any_registered_operation_is_previewed_and_executed(manage: Manage) -> None:
    create_things(2)
    assert_output(
        manage(*ANNOTATE),
        """
        trials_annotate: Copy the name of each thing into its note.

          would change  2 things
          by score      0 2
          estimate      less than a second, assuming RATE rows/s

          for example
            t1  note: NULL -> t1
            t2  note: NULL -> t2

        Nothing was written. To execute: manage.py operate trials_annotate --execute
        """,
    )
    assert_output(
        manage(*ANNOTATE, "--execute"),
        """
        Run N succeeded: 2 changed in DURATION (RATE rows/s), K batches, 1 sweep.
          ok      things without a note: 0
        To see it again: manage.py runs show N
        """,
    )


def test_parameters_become_flags(manage: Manage) -> None:
    create_things(2)
    Thing.objects.filter(name="t2").update(note="x")
    done = manage("operate", "trials_score", "--score", "7", "--only-noted", "--execute", "--as", "Ana María")
    assert (done.returncode, done.stderr) == (0, "")
    run = Run.objects.get()
    assert (run.params, run.performed_by) == ({"score": "7", "only_noted": True}, "Ana María")
    assert list(Thing.objects.order_by("name").values_list("score", flat=True)) == [0, 7]


def test_json_is_one_object_per_line(manage: Manage) -> None:
    create_things(3)
    (preview,) = _events(manage(*ANNOTATE, "--json"))
    assert (preview["event"], preview["total"], preview["breakdown"]) == ("preview", 3, {"0": 3})
    assert preview["samples"][0] == {"row": "t1", "changes": {"note": [None, "t1"]}}
    *_, finished = _events(manage(*ANNOTATE, "--json", "--execute"))
    assert finished["event"] == "finished"
    assert (finished["state"], finished["changed"], finished["failed"]) == ("succeeded", 3, 0)
    number = finished["run"]
    for arguments in (
        ["runs", "--json"],
        ["runs", "show", number, "--json"],
        ["runs", "--json", "show", number],
    ):
        (document,) = _events(manage(*arguments))
        assert (document["event"], document["run"], document["state"]) == ("run", number, "succeeded")


def _events(done: Any) -> list[dict[str, Any]]:
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_failed_rows_are_reported_with_exit_status_1(manage: Manage) -> None:
    create_things(2)
    create_things(1, score=600)
    done = manage("operate", "trials_score", "--score", "1500", "--execute")
    assert_output(
        done,
        """
        Run N finished with failures: 0 changed, 3 failed in DURATION (RATE rows/s), K batches, 1 sweep.
        To retry the failed rows, once they are corrected: manage.py runs retry N
        """,
        status=1,
    )
    details = manage("runs", "show", Run.objects.get().pk)
    assert details.returncode == 1
    assert details.stdout.count('violates check constraint "trials_thing_score_small"') == 3


def test_a_failed_check_is_reported_with_exit_status_1(manage: Manage) -> None:
    Thing.objects.create(name="hidden")
    assert_output(
        manage(*ANNOTATE, "--execute"),
        """
        Run N verification failed: 0 changed in DURATION.
          FAILED  things without a note: 1, such as hidden
        Correct what the checks found, then verify again: manage.py runs resume N
        """,
        status=1,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["operate"], "the following arguments are required: NAME"),
        (["operate", "nope"], "argument NAME: invalid choice: 'nope' (choose from "),
        (["operate", "trials_score"], "the following arguments are required: --score"),
        (["operate", "trials_score", "--score", "many"], "--score: Enter a whole number."),
        (
            ["operate", "trials_score", "--score", "2001"],
            "--score: Ensure this value is less than or equal to",
        ),
        (["operate", "trials_score", "--score", "13"], "Error: thirteen is refused."),
        ([*ANNOTATE, "--batch-size", "99999999999"], "argument --batch-size: "),
        ([*ANNOTATE, "--lanes", "0"], "argument --lanes: '0' is not a whole number from 1 to 256"),
        ([*ANNOTATE, "--lanes", "100000"], "argument --lanes: "),
        (
            [*ANNOTATE, "--max-failures", "-1"],
            "argument --max-failures: '-1' is not a whole number from 0 to 2,147,483,647",
        ),
        ([*ANNOTATE, "--as", "x" * 151, "--execute"], "argument --as: "),
        ([*ANNOTATE, "--as", "", "--execute"], "argument --as: "),
        ([*ANNOTATE, "--filter", "score=1", "--filter", "score=2"], "score"),
        (["runs", "show", "4242"], "There is no run 4242. To list the runs: manage.py runs"),
        (["runs", "resume", "4242"], "There is no run 4242."),
        (["runs", "pause", "4242"], "There is no run 4242."),
        (["runs", "cancel", "4242"], "There is no run 4242."),
        (["runs", "show", "99999999999999999999"], "There is no run 99999999999999999999."),
        (["runs", "show", "x"], "argument N: 'x' is not a run number; manage.py runs lists them"),
        (["runs", "show"], "the following arguments are required: N"),
        (["runs", "eat", "1"], "argument VERB: invalid choice: 'eat'"),
        (["runs", "--last", "-5"], "argument --last: "),
        (
            ["preflight", "--downtime", "soon"],
            "argument --downtime: 'soon' is not a duration. Type for example 15min, 1h 30min or 0.",
        ),
        (
            ["migrate", "--retry-for", "soon"],
            "argument --retry-for: 'soon' is not a duration. Type for example 5min.",
        ),
        (["migration_log", "--output", ""], "argument --output: the path is empty"),
        (["rqworker", "default", "nope"], "There is no queue 'nope'; the queues: default."),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_wrong_arguments_are_refused_with_exit_status_2(
    manage: Manage, arguments: list[str], message: str
) -> None:
    done = manage(*arguments)
    assert "Traceback" not in done.stderr
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_a_worker_without_redis_names_the_address(manage: Manage) -> None:
    done = manage("rqworker", env={"REDIS_URL": "redis://:hidden@127.0.0.1:1/0"})
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "",
        "CommandError: Redis cannot be reached at 127.0.0.1:1: connection refused."
        " Check REDIS_URL and the server.\n",
    )


def test_runs_are_listed_newest_first(manage: Manage) -> None:
    assert_output(manage("runs"), "There are no runs yet. To list the operations: manage.py operate --help")
    create_things(2)
    create_run(RunRequest(SetScore, "ada", {"score": 5}))
    manage(*ANNOTATE, "--execute", "--as", "bob")
    first, second = Run.objects.order_by("pk")
    table = manage("runs").stdout.splitlines()
    assert table[0].split() == [
        "run",
        "operation",
        "state",
        "changed",
        "done",
        "failed",
        "user",
        "created",
    ]
    assert table[1].split()[:7] == [str(second.pk), "trials_annotate", "succeeded", "2", "100", "%", "-"]
    assert table[2].split()[:7] == [str(first.pk), "trials_score", "queued", "0", "0", "%", "-"]
    assert len(manage("runs", "--last", 1).stdout.splitlines()) == 2


def test_show_prints_all_details_of_a_run(manage: Manage) -> None:
    create_things(1, score=3)
    manage("operate", "trials_score", "--score", 5, "--filter", "name=t1", "--execute", "--as", "ada")
    assert_output(
        manage("runs", "show", Run.objects.get().pk),
        """
        Run N: trials_score, succeeded
          params    score=5
          scope     name=t1
          created   TIME by ada
          started   TIME
          finished  TIME
          took      DURATION
          changed   1 of 1 (RATE rows/s)
          batches   K in 1 sweep
          writes    trials.thing.score
        """,
    )


def test_a_queued_run_is_resumed_and_a_finished_one_is_not(manage: Manage) -> None:
    create_things(2)
    run = create_run(RunRequest(Annotate, "ada"))
    assert manage("runs", "resume", run.pk).returncode == 0
    refused = manage("runs", "resume", run.pk)
    assert (
        refused.stderr
        == f"CommandError: Run {run.pk} has already ended (succeeded), so it cannot be resumed."
        f" To see it: manage.py runs show {run.pk}\n"
    )
    assert refused.returncode == 1
    assert AuditLog.objects.count() == 2


def test_resume_stores_new_throttle_options(manage: Manage) -> None:
    create_things(15)
    run = create_run(RunRequest(Annotate, "ada", batch_size=1, max_rate=1))
    assert (
        manage(
            "runs", "resume", run.pk, "--batch-size", 7, "--max-rate", 9000, "--max-failures", 0
        ).returncode
        == 0
    )
    run = lifecycle.get_run(run.pk)
    assert (run.state, run.batch_size, run.max_rate, run.max_failures) == ("succeeded", 7, 9000, 0)
    assert run.lanes.get().batches == 3


def test_the_duration_of_a_run_excludes_its_pauses(manage: Manage) -> None:
    run = create_run(RunRequest(Annotate, "ada"))
    for _ in range(2):
        lifecycle.start(run)
        Run.objects.update(started_at=Now() - timedelta(hours=9), working_since=Now() - timedelta(hours=1))
        run = lifecycle.get_run(run.pk)  # read again, since the run in memory has a clock of its own
        lifecycle.pause(run)
        lifecycle.requeue(run)
    lifecycle.cancel(run)
    assert "  took      2 h\n" in manage("runs", "show", run.pk).stdout


def test_a_run_is_stalled_without_heartbeats_unless_it_is_held(manage: Manage) -> None:
    create_things(1)
    run = create_run(RunRequest(Annotate, "ada"))
    lifecycle.start(run)

    def status_and_warning() -> tuple[str, bool]:
        warning = f"  stalled   no process works on it: manage.py runs resume {run.pk}\n"
        return manage("runs").stdout.splitlines()[1].split()[2], warning in manage(
            "runs", "show", run.pk
        ).stdout

    assert status_and_warning() == ("running", False)
    Run.objects.update(working_since=Now() - timedelta(minutes=1))
    assert status_and_warning() == ("stalled", True)
    run.lanes.update(heartbeat_at=Now())
    assert status_and_warning() == ("running", False)
    run.lanes.update(heartbeat_at=Now() - timedelta(minutes=1))
    Run.objects.update(held_until=Now() + timedelta(minutes=1), held_reason="replica_lag: too far")
    assert status_and_warning() == ("held", False)


def test_a_cancelled_run_cannot_be_paused(manage: Manage) -> None:
    run = create_run(RunRequest(Annotate, "ada"))
    done = manage("runs", "cancel", run.pk)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Run {run.pk} was cancelled before it started.\n" in done.stdout
    refused = manage("runs", "pause", run.pk)
    assert refused.returncode == 1
    assert f"Run {run.pk} has already ended (cancelled), so it cannot be paused." in refused.stderr


def test_a_cancelled_run_that_changed_rows_names_its_revert(manage: Manage) -> None:
    create_things(2)
    run = create_run(RunRequest(Annotate, "ada", batch_size=1))
    execute_run(run, RecordingMonitor(lambda number: lifecycle.pause(Run.objects.get())))
    assert_output(
        manage("runs", "cancel", run.pk),
        """
        Run N was cancelled: 1 changed in DURATION (RATE rows/s), K batches, 1 sweep.
        To see it again: manage.py runs show N
        To revert it: manage.py runs revert N
        """,
    )


def test_a_run_without_rows_shows_no_rate_and_no_percentage(manage: Manage) -> None:
    run = create_run(RunRequest(Annotate, "ada"))
    assert manage("runs").stdout.splitlines()[1].split()[3:6] == ["0", "-", "-"]
    shown = manage("runs", "show", run.pk).stdout
    assert "  changed   0 of 0\n" in shown
    assert "batches" not in shown


def test_pausing_a_paused_run_suggests_to_resume_it(manage: Manage) -> None:
    run = create_run(RunRequest(Annotate, "ada"))
    lifecycle.start(run)
    lifecycle.pause(run)
    refused = manage("runs", "pause", run.pk)
    assert refused.returncode == 1
    message = f"Run {run.pk} is already paused. To resume it: manage.py runs resume {run.pk}"
    assert refused.stderr == f"CommandError: {message}\n"


def test_a_run_of_a_removed_operation_can_be_shown_and_cancelled(manage: Manage) -> None:
    run = Run.objects.create(operation="gone", model="no.more", columns=["x"], as_of=timezone.now(), total=0)
    assert manage("runs", "show", run.pk).returncode == 0
    refused = manage("runs", "resume", run.pk)
    assert refused.returncode == 2
    assert "No operation is called 'gone'; the registered ones: " in refused.stderr
    cancel_command = f"manage.py runs cancel {run.pk}"
    assert refused.stderr.endswith(
        f" Run {run.pk} needs its code: restore that, or cancel the run: {cancel_command}\n"
    )
    assert manage("runs", "show", run.pk).stdout.splitlines()[-1] == f"To cancel it: {cancel_command}"
    assert manage("runs", "cancel", run.pk).returncode == 0
    ended = manage("runs", "resume", run.pk)
    assert ended.stderr.endswith(f": restore that. To see it: manage.py runs show {run.pk}\n")


def test_the_error_of_an_impossible_revert_names_no_flag(manage: Manage) -> None:
    run = Run.objects.create(operation="gone", model="no.more", columns=["x"], as_of=timezone.now(), total=0)
    refused = manage("runs", "revert", run.pk)
    assert refused.returncode == 2
    assert (
        refused.stderr
        == f"CommandError: Run {run.pk} changed no.more, and there is no such model any more.\n"
    )


def test_the_error_of_a_retry_with_invalid_params_names_no_flag(manage: Manage) -> None:
    run = create_run(RunRequest(SetScore, "ada", params={"score": "5"}))
    Run.objects.filter(pk=run.pk).update(params={"score": "much"})
    run.failures.create(object_id="1", error="x")
    refused = manage("runs", "retry", run.pk)
    assert refused.returncode == 2
    assert refused.stderr == "CommandError: the run's parameter score: Enter a whole number.\n"


def test_a_python_error_fails_the_run_without_a_traceback(manage: Manage) -> None:
    create_things(1)
    done = manage("operate", "trials_recite", "--execute", env={"TRIALS_RECITE_FAILS": "yes"})
    run = Run.objects.get()
    assert (done.returncode, run.state) == (1, "failed")
    assert "Traceback" not in done.stderr
    assert "ConnectionError: the reciter is away" in done.stdout + done.stderr
    assert f"manage.py runs resume {run.pk}" in done.stdout + done.stderr
    assert manage("runs", "resume", run.pk).returncode == 0


def test_a_database_error_fails_the_run_without_a_traceback(manage: Manage, trigger: Any) -> None:
    create_things(1)
    trigger("trials_thing", "RAISE EXCEPTION 'the disk is full' USING ERRCODE = '53100';")
    done = manage(*ANNOTATE, "--execute")
    run = Run.objects.get()
    assert (done.returncode, run.state) == (1, "failed")
    assert "Traceback" not in done.stderr
    assert "the disk is full" in done.stdout + done.stderr
    assert f"manage.py runs resume {run.pk}" in done.stdout + done.stderr
