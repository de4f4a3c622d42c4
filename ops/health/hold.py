"""Holding a run: a time and a reason on a running run, which every process of it obeys."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from threading import Event

from django.db.models import DurationField, Value
from django.db.models.functions import Now

from ops.events import tell
from ops.health.indicators import NAMES
from ops.models import Run
from ops.states import State

# So soon a pause or a cancel from elsewhere is seen.
_LOOK = timedelta(milliseconds=250)


class Held(Exception):
    """The run is held: no batch begins before its time is over."""


def hold(run: Run, reason: str, span: timedelta) -> None:
    """Hold the run for that long, by the database's clock, unless it no longer runs.

    That is told when it begins, not each time that it is prolonged.
    """
    until = Now() + Value(span, DurationField())
    running = Run.objects.filter(pk=run.pk, state=State.RUNNING)
    if running.filter(held_until=None).update(held_until=until, held_reason=reason):
        tell(run, "held", logging.WARNING, reason=reason)
    else:
        running.update(held_until=until, held_reason=reason)


def let_go(run: Run) -> None:
    """Forget a hold whose time is over."""
    if Run.objects.filter(pk=run.pk, held_until__lte=Now()).update(held_until=None, held_reason=""):
        tell(run, "let go")


def is_held(run: Run) -> bool:
    """Whether the run must wait, read from the database with the time and the reason."""
    held = Run.objects.filter(pk=run.pk, state=State.RUNNING, held_until__gt=Now())
    told = held.values_list("held_until", "held_reason").first()
    run.held_until, run.held_reason = told or (None, "")
    return told is not None


def holders(reason: str) -> list[str]:
    """The names of the indicators in what a hold says."""
    return [name for name in NAMES if re.search(rf"(?:^|; ){name}: ", reason)]


def wait(run: Run, stop: Event) -> None:
    """Wait a moment of a hold; not at all when asked to stop."""
    stop.wait(_LOOK.total_seconds())
