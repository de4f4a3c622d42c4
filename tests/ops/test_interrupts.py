"""Real processes, interrupted, killed and joined by others: no row is lost or changed twice."""

import signal
from typing import Any

import pytest

from ops.models import AuditLog, Lane, Run
from tests.conftest import Manage
from tests.ops.output import mask_output
from tests.ops.running import audited_changes, create_things, execute_sql, primary_keys, wait_until
from tests.trials.models import Thing

EXECUTE = ("operate", "trials_annotate", "--execute")
# So slow that the run does not end before another process has begun, or before it is killed.
SLOWLY = ("--max-rate", 200)


def changed() -> int:
    return sum(Lane.objects.values_list("changed", flat=True))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_pauses_the_run_after_its_batch(manage: Manage, number: int) -> None:
    rows = create_things(1000)
    process = manage.popen(*EXECUTE, "--batch-size", 5)
    wait_until(lambda: changed() >= 10)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    run = Run.objects.get()
    assert (process.returncode, run.state) == (130, "paused"), out + err
    assert err == ""
    count = len(audited_changes(run))
    assert 10 <= count < 1000
    assert count % 5 == 0
    assert mask_output(out).splitlines()[-2:] == [
        f"Run N is paused: {count:,} changed in DURATION (RATE rows/s), K batches, 1 sweep.",
        "To resume it: manage.py runs resume N",
    ]
    Run.objects.update(batch_size=None)  # the rest may go faster
    finished = manage("runs", "resume", run.pk)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert audited_changes(run).keys() == primary_keys(rows)


def test_a_run_paused_from_elsewhere_ends_its_process_quietly(manage: Manage) -> None:
    create_things(3000)
    process = manage.popen(*EXECUTE, *SLOWLY)
    wait_until(lambda: changed() >= 10)
    run = Run.objects.get()
    paused = manage("runs", "pause", run.pk)
    out, err = process.communicate(timeout=60)
    assert (paused.returncode, process.returncode, err) == (0, 1, "")
    assert f"Run {run.pk} is paused" in paused.stdout
    assert f"To resume it: manage.py runs resume {run.pk}" in out
    assert changed() == AuditLog.objects.filter(run=run).count()


def test_a_process_killed_in_the_middle_loses_nothing_and_repeats_nothing(manage: Manage) -> None:
    create_things(2000)
    process = manage.popen(*EXECUTE, *SLOWLY)
    wait_until(lambda: changed() >= 100)
    process.kill()
    process.communicate()
    run = Run.objects.get()
    assert run.state == "running"
    wait_until(_is_idle)
    count = AuditLog.objects.filter(run=run).count()
    assert count == changed() == Thing.objects.filter(note__isnull=False).count()
    Run.objects.update(max_rate=None)  # the rest may go faster
    finished = manage("runs", "resume", run.pk)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert len(audited_changes(run)) == changed() == 2000
    assert not Thing.objects.filter(note=None).exists()


def _is_idle() -> bool:
    at_work = "datname = current_database() AND application_name LIKE 'kyndo run %%'"
    return not execute_sql(f"SELECT 1 FROM pg_stat_activity WHERE {at_work}")


@pytest.mark.parametrize("lanes", [1, 2])
def test_a_second_process_joins_and_each_row_is_changed_once(manage: Manage, lanes: int) -> None:
    rows = create_things(3000)
    first = manage.popen(*EXECUTE, *SLOWLY, "--lanes", lanes)
    wait_until(lambda: changed() >= 10)
    run = Run.objects.get()
    Run.objects.update(max_rate=None)  # the first has its rate, the second need not wait
    second = manage.popen("runs", "resume", run.pk)
    outputs: list[Any] = [process.communicate(timeout=200) for process in (first, second)]
    assert (first.returncode, second.returncode, [err for _, err in outputs]) == (0, 0, ["", ""])
    assert audited_changes(run).keys() == primary_keys(rows)
    assert changed() == 3000
    run.refresh_from_db()
    assert run.state == "succeeded"
