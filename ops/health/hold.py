"""Holding a run: a time and a reason on a running run, which every process of it obeys."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from threading import Event

from django.db.models import DurationField, F, Q, Value
from django.db.models.functions import Now

from ops.events import log_event
from ops.health.indicators import INDICATOR_NAMES
from ops.models import Run
from ops.states import State

# So soon a pause or a cancel from elsewhere is seen.
_POLL_INTERVAL = timedelta(milliseconds=250)


def held_filter() -> Q:
    """Of runs: whether they are held, by the database's clock; see Note [Clocks that step]."""
    theirs = Q(held_for=None) | Q(held_until__lte=Now() + F("held_for"))
    return Q(held_until__gt=Now()) & theirs


def hold_run(run: Run, reason: str, span: timedelta) -> None:
    """Hold the run for that long, by the database's clock, unless it no longer runs.

    That is told when it begins, not each time that it is prolonged.
    """
    until = Now() + Value(span, DurationField())
    running = Run.objects.filter(pk=run.pk, state=State.RUNNING)
    told = {"held_until": until, "held_for": span, "held_reason": reason}
    if running.filter(held_until=None).update(**told):
        log_event(run, "held", logging.WARNING, reason=reason)
    else:
        running.update(**told)


def release_expired_hold(run: Run) -> None:
    """Forget a hold whose time is over."""
    over = Run.objects.filter(~held_filter(), pk=run.pk, held_until__isnull=False)
    if over.update(held_until=None, held_for=None, held_reason=""):
        log_event(run, "let go")


def is_held(run: Run) -> bool:
    """Whether the run must wait, read from the database with the time and the reason."""
    now = Run.objects.filter(held_filter(), pk=run.pk, state=State.RUNNING)
    told = now.values_list("held_until", "held_reason").first()
    run.held_until, run.held_reason = told or (None, "")
    return told is not None


def holding_indicators(reason: str) -> list[str]:
    """The names of the indicators in what a hold says."""
    return [name for name in INDICATOR_NAMES if re.search(rf"(?:^|; ){name}: ", reason)]


def wait_during_hold(run: Run, stop: Event) -> None:
    """Wait a moment of a hold; not at all when asked to stop."""
    stop.wait(_POLL_INTERVAL.total_seconds())
