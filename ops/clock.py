"""Time as the database tells it, by a clock that may step.

# Note [Clocks that step]
A server's clock can go back, or another server takes over whose clock is behind. What was written before then
lies in the future, for as long as the clock needs to get there again. So a moment counts as recent only where
it is near now on either side; what is to end is known by how long it was to last, too; and a duration is
never less than nothing. What one process measures itself it measures by its monotonic clock.
"""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now


def recent(column: str, span: timedelta) -> Q:
    """Whether the moment lies within ``span`` of now: see Note [Clocks that step]."""
    return Q(**{f"{column}__gt": Now() - span, f"{column}__lt": Now() + span})
