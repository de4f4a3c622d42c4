"""The hold of a running run: its end and its reason, which every process of the run obeys."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from threading import Event
from typing import Any

from django.db.models import DurationField, F, Q, Value
from django.db.models.functions import Now
from django.utils import timezone

from ops.events import log_event
from ops.health.indicators import INDICATOR_NAMES
from ops.models import Run
from ops.states import State

# The longest until a held run notices a pause or a cancel.
_POLL_INTERVAL = timedelta(milliseconds=250)
# Holds that a run remembers for its page.
_MAX_RECORDED = 50


def held_filter() -> Q:
    """Return the filter of the runs that are held by the database's clock; see Note [Clocks that step]."""
    is_plausible = Q(held_for=None) | Q(held_until__lte=Now() + F("held_for"))
    return Q(held_until__gt=Now()) & is_plausible


def hold_run(run: Run, reason: str, span: timedelta) -> None:
    """Hold a running run for ``span``, by the database's clock.

    A new hold is logged; one that is only extended is not.
    """
    until = Now() + Value(span, DurationField())
    running = Run.objects.filter(pk=run.pk, state=State.RUNNING)
    fields = {"held_until": until, "held_for": span, "held_reason": reason}
    if running.filter(held_until=None).update(**fields):
        log_event(run, "held", logging.WARNING, reason=reason)
        _record_begin(run, reason)
    else:
        running.update(**fields)


def release_expired_hold(run: Run) -> None:
    """Remove a hold whose time is over, and log it."""
    expired = Run.objects.filter(~held_filter(), pk=run.pk, held_until__isnull=False)
    if expired.update(held_until=None, held_for=None, held_reason=""):
        log_event(run, "let go")
        _record_end(run)


def _record_begin(run: Run, reason: str) -> None:
    begun = {"since": timezone.now().isoformat(), "until": None, "reason": reason}
    _write_holds(run, [*_read_holds(run), begun])


def _record_end(run: Run) -> None:
    holds = _read_holds(run)
    if holds and holds[-1]["until"] is None:
        _write_holds(run, [*holds[:-1], {**holds[-1], "until": timezone.now().isoformat()}])


def _read_holds(run: Run) -> list[dict[str, Any]]:
    return Run.objects.filter(pk=run.pk).values_list("holds", flat=True).first() or []


def _write_holds(run: Run, holds: list[dict[str, Any]]) -> None:
    """Write the newest holds: only one process begins a hold, and only one ends it."""
    Run.objects.filter(pk=run.pk).update(holds=holds[-_MAX_RECORDED:])


def is_held(run: Run) -> bool:
    """Read the hold from the database into ``run``, and return whether it is held now."""
    held = Run.objects.filter(held_filter(), pk=run.pk, state=State.RUNNING)
    hold = held.values_list("held_until", "held_reason").first()
    run.held_until, run.held_reason = hold or (None, "")
    return hold is not None


def holding_indicators(reason: str) -> list[str]:
    """Return the names of the indicators in the reason of a hold."""
    return [name for name in INDICATOR_NAMES if re.search(rf"(?:^|; ){name}: ", reason)]


def wait_during_hold(run: Run, stop: Event) -> None:
    """Wait a quarter of a second, or until ``stop`` is set."""
    stop.wait(_POLL_INTERVAL.total_seconds())
