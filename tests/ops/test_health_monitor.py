"""An unhealthy indicator holds every process of a run, with its reason; a stop is never delayed."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from threading import Event, Thread
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db.models import F
from django.db.models.functions import Now

from ops.health import monitor
from ops.health.limits import HealthLimits
from ops.models import Run
from ops.report import run as report
from ops.report.document import FORMAT_VERSION
from ops.report.reporters import JsonLinesReporter, LineReporter
from ops.runs import lifecycle
from tests.conftest import ROOT
from tests.ops.conftest import RegisterOperation
from tests.ops.running import (
    RecordingMonitor,
    create_run,
    create_things,
    execute_run,
    execute_sql,
    make_operation,
    player,
    wait_until,
)
from tests.trials.models import Thing

pytestmark = pytest.mark.django_db(transaction=True)

FILL = make_operation(lambda: Thing.objects.filter(note=None), {"note": F("name")}, name="fill")
PROBE = f"{__name__}.players_wait"
# What the probe returns, in seconds.
players: list[float] = []


def players_wait() -> float:
    return players[0]


@pytest.fixture(autouse=True)
def _unhealthy_at_first(settings: Any, monkeypatch: pytest.MonkeyPatch, declare: RegisterOperation) -> None:
    """Players wait until ``heal`` is called; checks and holds are short."""
    settings.OPS_HEALTH = replace(settings.OPS_HEALTH, player_probe=PROBE, hold_seconds=1)
    monkeypatch.setattr(monitor, "CHECK_INTERVAL", timedelta(milliseconds=20))
    players[:] = [3.0]
    declare(FILL)


def heal(*_: object) -> None:
    players[:] = [0.0]


class Holding(RecordingMonitor):
    """Calls ``once_held`` at the beginning of the first hold."""

    def __init__(self, once_held: Callable[[], object], **options: Any) -> None:
        super().__init__(**options)
        self.once_held = once_held

    def on_hold(self, run: Run) -> None:
        super().on_hold(run)
        if len(self.hold_reasons) == 1:
            self.once_held()


REASON = "player_latency: players wait 3,000 ms (limit 250)"


def test_no_batch_begins_on_an_unhealthy_database_and_the_run_resumes() -> None:
    create_things(3)
    run, shown = create_run(FILL), []

    def record() -> None:
        heal()
        shown.extend([watched.batches, report.format_row(run)[2], *report.format_details(Run.objects.get())])

    watched = Holding(record)
    execute_run(run, watched)
    assert shown[:2] == [0, "held"]
    [line] = [line for line in shown[2:] if line.startswith("  held")]
    assert line.startswith("  held      until ")
    assert line.endswith(f" UTC by {REASON}")
    assert (run.state, set(watched.hold_reasons)) == ("succeeded", {REASON})
    assert (run.held_until, run.held_reason) == (None, "")


def test_an_indicator_that_turns_unhealthy_holds_the_next_batches() -> None:
    heal()
    create_things(20)

    def make_unhealthy(number: int) -> None:
        if number == 2:
            players[:] = [3.0]
        Event().wait(0.1)

    watched = Holding(lambda: heal() or before.append(watched.batches), after_batch=make_unhealthy)
    before: list[int] = []
    assert execute_run(create_run(FILL, batch_size=1), watched).state == "succeeded"
    assert 2 <= before[0] < 20


def test_a_hold_of_another_process_holds_a_process_that_finds_no_reason() -> None:
    heal()
    create_things(3)
    run = create_run(FILL)
    lifecycle.start(run)
    Run.objects.filter(pk=run.pk).update(held_until=Now() + timedelta(seconds=0.5), held_reason="other: sick")
    watched = RecordingMonitor()
    assert execute_run(run, watched).state == "succeeded"
    assert set(watched.hold_reasons) == {"other: sick"}


@pytest.mark.parametrize(
    ("halt", "state"), [(lifecycle.pause, "paused"), (lifecycle.cancel, "cancelled"), (None, "paused")]
)
def test_a_held_run_can_be_paused_and_cancelled(
    halt: Callable[[Run], None] | None, state: str, settings: Any
) -> None:
    settings.OPS_HEALTH = replace(settings.OPS_HEALTH, hold_seconds=3600)
    create_things(3)
    run, stop = create_run(FILL), Event()
    watched = Holding(stop.set if halt is None else lambda: halt(Run.objects.get()))
    execute_run(run, watched, stop)
    assert (run.state, run.held_until, watched.batches) == (state, None, 0)
    assert len(watched.hold_reasons) == 1


def test_an_ignored_indicator_does_not_hold_the_run_and_is_shown() -> None:
    create_things(3)
    watched = RecordingMonitor()
    run = execute_run(create_run(FILL, ignored_health=["player_latency"]), watched)
    assert (run.state, watched.hold_reasons) == ("succeeded", [])
    assert "  ignores   player_latency" in report.format_details(run)


def test_ignoring_the_holding_indicator_ends_the_hold(settings: Any) -> None:
    settings.OPS_HEALTH = replace(settings.OPS_HEALTH, hold_seconds=3600)
    create_things(3)
    watched = Holding(lambda: lifecycle.ignore_health(Run.objects.get(), ["player_latency"]))
    assert execute_run(create_run(FILL), watched).state == "succeeded"


def test_an_unavailable_indicator_is_reported_once_and_holds_nothing(settings: Any) -> None:
    settings.OPS_HEALTH = replace(settings.OPS_HEALTH, player_probe="SELECT no_such_function()")
    create_things(10)
    watched = RecordingMonitor(lambda number: Event().wait(0.05))
    run = execute_run(create_run(FILL, batch_size=1), watched)
    note = "cannot be checked: player_latency. function no_such_function() does not exist"
    assert (run.state, watched.notes) == ("succeeded", [note])
    assert f"  note    {note}" in report.format_details(run)


def test_without_pg_monitor_the_run_says_what_to_grant_and_goes_on() -> None:
    heal()
    create_things(3)
    execute_sql("CREATE ROLE plain; GRANT ALL ON ALL TABLES IN SCHEMA public TO plain")
    execute_sql("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO plain")
    run, watched = create_run(FILL), RecordingMonitor()
    try:
        execute_sql("SET ROLE plain")
        execute_run(run, watched)
    finally:
        execute_sql("RESET ROLE; DROP OWNED BY plain; DROP ROLE plain")
    assert run.state == "succeeded"
    [note] = watched.notes
    assert note.startswith("cannot be checked: ")
    assert sorted(note[19:].partition(".")[0].split(", ")) == ["archiving", "maintenance", "replica_lag"]
    assert note.endswith('The role "plain" lacks pg_monitor: GRANT pg_monitor TO "plain"')


def test_lines_and_json_show_the_end_and_the_reason_of_a_hold() -> None:
    run = create_run(FILL)
    Run.objects.filter(pk=run.pk).update(
        held_until=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), held_reason="archiving: \x1bfails"
    )
    run.refresh_from_db()
    lines, documents = StringIO(), StringIO()
    for watcher in (LineReporter(run, lines), JsonLinesReporter(run, documents)):
        watcher.on_hold(run)
        watcher.on_hold(run)
    advice = f"To resume it anyway: manage.py runs resume {run.pk} --ignore-health archiving"
    hold = "Waiting until 03:04:05 UTC. Health check archiving: \\u001bfails."
    assert lines.getvalue() == f"run {run.pk}: {hold}\n{advice}\n"
    document = {
        "event": "held",
        "held_until": "2026-01-02T03:04:05+00:00",
        "held_reason": "archiving: \x1bfails",
    }
    document |= {
        "version": FORMAT_VERSION,
        "next": [dict(zip(("purpose", "command"), advice.split(": "), strict=True))],
    }
    assert [json.loads(line) for line in documents.getvalue().splitlines()] == [document]


def test_an_unknown_indicator_is_refused_with_the_known_names() -> None:
    with pytest.raises(CommandError, match=r"invalid choice: 'archiver' .*archiving"):
        call_command("operate", "trials_annotate", "--ignore-health", "archiver")


def test_invalid_settings_are_all_named_at_once() -> None:
    assert HealthLimits.from_environ({"OPS_HEALTH_REPLICA_LAG_MB": "64", "OTHER": "x"}) == HealthLimits(
        replica_lag_mb=64
    )
    environ = {"OPS_HEALTH_HOLD_SECONDS": "soon", "OPS_HEALTH_REPLICAS": "1", "OPS_HEALTH_ARCHIVE_FILES": "0"}
    with pytest.raises(ImproperlyConfigured) as raised:
        HealthLimits.from_environ(environ)
    hold, replicas, files = str(raised.value).splitlines()
    assert hold == "OPS_HEALTH_HOLD_SECONDS is 'soon' but must be a whole number"
    assert replicas.startswith("OPS_HEALTH_REPLICAS is not a setting. Use one of: OPS_HEALTH_HOLD_SECONDS, ")
    assert files == "OPS_HEALTH_ARCHIVE_FILES is '0' but must be above 0"


@pytest.mark.parametrize("document", [".env.example", "docs/health.md"])
def test_every_setting_is_documented_with_its_default(document: str) -> None:
    settings = re.findall(r"OPS_HEALTH_(\w+)=(\w*)", (ROOT / document).read_text())
    assert {name.lower(): value for name, value in settings} == {
        k: str(v) for k, v in vars(HealthLimits()).items()
    }


def test_a_player_who_waits_for_a_long_batch_holds_the_only_process(
    trigger: Callable[..., None], settings: Any
) -> None:
    heal()
    settings.OPS_HEALTH = replace(settings.OPS_HEALTH, lock_wait_ms=100)
    trigger("trials_thing", "IF NEW.note IS NOT NULL THEN PERFORM pg_sleep(0.4); END IF; RETURN NEW;")
    first, *_ = create_things(3)
    watched = RecordingMonitor()

    def play() -> None:
        with player() as other:
            wait_until(
                lambda: execute_on(other, "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
            )
            other.execute("UPDATE trials_thing SET score = 1 WHERE id = %s", [first.pk])
            other.commit()

    thread = Thread(target=play)
    thread.start()
    run = execute_run(create_run(FILL, batch_size=1), watched)
    thread.join()
    assert run.state == "succeeded"
    assert watched.hold_reasons[0].startswith("waiters: a session has waited ")


def execute_on(other: Any, statement: str) -> Any:
    rows = other.execute(statement).fetchall()
    other.rollback()
    return rows
