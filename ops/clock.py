"""Time as the database tells it, by a clock that may step.

# Note [Clocks that step]
A server's clock can go back, or another server takes over whose clock is behind. What was written before then
lies in the future, for as long as the clock needs to get there again. So a moment counts as recent only where
it is near now on either side; what is to end is known by how long it was to last, too; and a duration is
never less than nothing. What one process measures itself it measures by its monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic

from django.db.models import F, Q, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Greatest, Now


@dataclass(frozen=True)
class WorkTimer:
    """How long a process has worked on a run, by its own clock, which never steps.

    ``throughout``: it has taken the run up itself, so that no clock but its own is needed.
    """

    is_complete: bool
    started: float = field(default_factory=monotonic)

    @property
    def elapsed(self) -> timedelta:
        return timedelta(seconds=monotonic() - self.started)


def elapsed_since(since: str, attended: WorkTimer | None) -> Combinable:
    """How long it is since that moment: see Note [Clocks that step]."""
    if attended and attended.is_complete:
        return Value(attended.elapsed)
    return Greatest(Now() - F(since), Value(attended.elapsed if attended else timedelta()))


def is_recent(column: str, span: timedelta) -> Q:
    """Whether the moment lies within ``span`` of now: see Note [Clocks that step]."""
    return Q(**{f"{column}__gt": Now() - span, f"{column}__lt": Now() + span})
