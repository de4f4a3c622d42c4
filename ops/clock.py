"""Times and durations by the database's clock, which may step.

# Note [Clocks that step]
A server's clock can be set back, or a server takes over whose clock is behind. Times that were stored before
are in the future then, until the clock reaches them again. So a time is recent only if it is close to now on
either side; what ends at a time is stored with its length too; and a duration is never negative. A process
measures its own work by its monotonic clock.
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
    """Measure how long a process has worked on a run, by its monotonic clock.

    ``is_complete``: this process started the run, so that its own clock measures all of the time.
    """

    is_complete: bool
    started: float = field(default_factory=monotonic)

    @property
    def elapsed(self) -> timedelta:
        return timedelta(seconds=monotonic() - self.started)


def elapsed_since(column: str, timer: WorkTimer | None) -> Combinable:
    """The duration since the column's time, as an expression: see Note [Clocks that step]."""
    if timer and timer.is_complete:
        return Value(timer.elapsed)
    return Greatest(Now() - F(column), Value(timer.elapsed if timer else timedelta()))


def is_recent(column: str, span: timedelta) -> Q:
    """Whether the column's time is within ``span`` of now: see Note [Clocks that step]."""
    return Q(**{f"{column}__gt": Now() - span, f"{column}__lt": Now() + span})
