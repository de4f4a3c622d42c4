"""A run as its page shows it, again and again while it moves."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.http import HttpRequest
from django.utils.html import format_html

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
_LONGEST, _MOST_ROWS = timedelta(days=9999), 2**63
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
    """Of a run, or of an export, whose states are among those of a run."""
    return _MOODS.get(State(state), "busy")


def badge(state: str) -> str:
    return format_html('<span class="ops-state ops-{}">{}</span>', mood(state), State(state).label)


def live(request: HttpRequest, run: Run) -> dict[str, Any]:
    """The context of ``_run.html``. The page says how far the run was at its first look, for the rate."""
    told = progress_of(run)
    since = first_look(request) or Look(0, time.time() - told.elapsed.total_seconds())
    failures, more_failures = report.failures(run)
    return {
        "run": run,
        "done": f"{told.done:,}",
        "total": f"{told.total:,}",
        "now": Look(told.done, time.time()),
        "share": share(told.done, told.total),
        "speed": _speed(run, told, since),
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

    def pace(self, done: int, total: int) -> str:
        """Since then: rows a second and the time left; "" while nothing moves."""
        rate = max(0, done - self.done) / max(time.time() - self.at, 0.001)
        if not rate:
            return ""
        left = min(max(0, total - done) / rate, _LONGEST.total_seconds())
        return f"{rate:,.0f} rows/s, {words.duration(timedelta(seconds=left))} left"


def first_look(request: HttpRequest) -> Look | None:
    """None where the address tells of none, or of one that cannot have been."""
    try:
        look = Look(int(request.GET["done"]), float(request.GET["at"]))
    except (KeyError, ValueError):
        return None
    return look if math.isfinite(look.at) and abs(look.done) < _MOST_ROWS else None


def share(done: int, total: int) -> float:
    """In percent."""
    return min(100.0, 100 * done / total) if total else 100.0


def _speed(run: Run, told: Progress, since: Look) -> str:
    """While it runs: rows a second and the time left. At its end: how long it took, and how fast it was."""
    if run.state != State.RUNNING:
        return (
            f"{words.duration(told.elapsed)}, {words.rate(told.changed, told.elapsed)}" if _over(run) else ""
        )
    return since.pace(told.done, told.total)


def _waiting(run: Run) -> str:
    """Where no worker is called: who must go on. What workers wait for is among the facts."""
    if run.workers is not None or run.state != State.QUEUED:
        return ""
    return f"It waits for a terminal: manage.py runs resume {run.pk}"


def _over(run: Run) -> bool:
    return run.state in _ENDED and run.started_at is not None


def _shown(request: HttpRequest, run: Run, verb: str) -> bool:
    return request.user.has_perms(permissions.for_control(verb, run)) and CONTROLS[verb].possible(run)
