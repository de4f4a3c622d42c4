"""A run as its page shows it, again and again while it moves."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.http import HttpRequest

from ops import permissions
from ops.admin.controls import CONTROLS
from ops.health.health import silences
from ops.health.hold import is_held
from ops.models import Run
from ops.progress import Progress, progress_of
from ops.report import run as report
from ops.report import words
from ops.states import State

_ENDED = (
    State.SUCCEEDED,
    State.CANCELLED,
    State.FAILED,
    State.FINISHED_WITH_FAILURES,
    State.VERIFICATION_FAILED,
)
_MOODS = {
    State.SUCCEEDED: "good",
    State.CANCELLED: "plain",
    State.FAILED: "bad",
    State.VERIFICATION_FAILED: "bad",
    State.FINISHED_WITH_FAILURES: "warn",
    State.PAUSED: "warn",
    State.PAUSING: "warn",
    State.CANCELLING: "warn",
    State.AWAITING_APPROVAL: "warn",
}


def mood(state: str) -> str:
    return _MOODS.get(State(state), "busy")


def live(request: HttpRequest, run: Run) -> dict[str, Any]:
    """The context of ``_run.html``. The page says how far the run was at its first look, for the rate."""
    told = progress_of(run)
    since = _first_look(request) or Look(0, time.time() - told.elapsed.total_seconds())
    rate = max(0, told.done - since.done) / max(time.time() - since.at, 0.001)
    failures, more_failures = report.failures(run)
    return {
        "run": run,
        "done": f"{told.done:,}",
        "total": f"{told.total:,}",
        "now": Look(told.done, time.time()),
        "share": _share(told),
        "speed": _speed(run, told, rate),
        "mood": mood(run.state),
        "moves": run.state not in (*_ENDED, State.PAUSED),
        "controls": [control for control in CONTROLS.values() if _shown(request, run, control.verb)],
        "facts": {k: v for k, v in report.facts(run).items() if k not in ("error", "changed", "held")},
        "remarks": [*report.remarks(run), *silences(run.silent_health)],
        "held": report.hold(run) if is_held(run) else "",
        "waiting": _waiting(run),
        "failures": failures,
        "more_failures": more_failures,
    }


@dataclass(frozen=True)
class Look:
    """How many rows were done, and at what time, in seconds."""

    done: int
    at: float


def _first_look(request: HttpRequest) -> Look | None:
    try:
        return Look(int(request.GET["done"]), float(request.GET["at"]))
    except (KeyError, ValueError):
        return None


def _share(told: Progress) -> float:
    return min(100.0, 100 * told.done / told.total) if told.total else 100.0


def _speed(run: Run, told: Progress, rate: float) -> str:
    """While it runs: rows a second and the time left. At its end: how long it took, and how fast it was."""
    if run.state != State.RUNNING:
        return (
            f"{words.duration(told.elapsed)}, {words.rate(told.changed, told.elapsed)}" if _over(run) else ""
        )
    if not rate:
        return ""
    left = timedelta(seconds=max(0, told.total - told.done) / rate)
    return f"{rate:,.0f} rows/s, {words.duration(left)} left"


def _waiting(run: Run) -> str:
    """Where no worker is called: who must go on. What workers wait for is among the facts."""
    if run.workers is not None or run.state != State.QUEUED:
        return ""
    return f"It waits for a terminal: manage.py runs resume {run.pk}"


def _over(run: Run) -> bool:
    return run.state in _ENDED and run.started_at is not None


def _shown(request: HttpRequest, run: Run, verb: str) -> bool:
    return request.user.has_perm(permissions.to_control(verb)) and CONTROLS[verb].possible(run)
