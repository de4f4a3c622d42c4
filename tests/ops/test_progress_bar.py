"""The progress bar of a run: it is complete at any width, whatever its message."""

import io
from collections.abc import Callable

import pytest
from django.utils import timezone

from ops.models import Run
from ops.report.progress_bar import BarReporter
from ops.runs.progress import Progress, read_progress
from tests.ops.running import create_run, create_things, make_operation
from tests.trials.models import Thing

HELD = "replica_lag: standby1 is 310 MB behind (limit 256); archiving: 40 WAL files wait (limit 32)"


def moving(bar: BarReporter, run: Run) -> str:
    progress = Progress(**{**vars(read_progress(run)), "changed": 31_000, "failed": 402})
    bar.show(progress, 2_500)
    return "batches of 2,500 · 402 failed"


def waiting(bar: BarReporter, run: Run) -> str:
    bar.on_retry("connection to server at 127.0.0.1, port 5432 failed: [Errno 111] refused\nIs it running?")
    return "waiting: connection to server at 127.0.0.1, port 5432 failed: [Errno 111] refused"


def held(bar: BarReporter, run: Run) -> str:
    run.held_until, run.held_reason = timezone.now(), HELD
    bar.on_hold(run)
    return f"UTC. Health checks {HELD}."


def idle(bar: BarReporter, run: Run) -> str:
    bar.idle("No worker is alive. To start one: manage.py rqworker")
    return "No worker is alive. To start one: manage.py rqworker"


@pytest.mark.django_db
@pytest.mark.parametrize("state", [moving, waiting, held, idle])
@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_bar_and_its_message_are_complete_at_any_width(
    width: int, state: Callable[[BarReporter, Run], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    create_things(1)
    run = create_run(make_operation(Thing.objects.filter(note=None), {"note": "x"}))
    Run.objects.update(total=100_000)
    run.refresh_from_db()
    bar = BarReporter(run, io.StringIO())
    bar.progress.update(bar.task, completed=31_402)
    message = state(bar, run)
    with bar.progress.console.capture() as output:
        bar.progress.console.print(bar.progress.get_renderable())
    first, *rest = output.get().splitlines()
    name, _, percent, rows, left = first.rsplit(maxsplit=4)
    assert (name, percent) == (f"Run {run.pk}", "31%")
    assert rows == "31402/100000"
    assert left == "-:--:--"
    assert message in " ".join(line.strip() for line in rest)
    assert max(map(len, [first, *rest])) <= width
