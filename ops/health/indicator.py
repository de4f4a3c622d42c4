"""The base class of the health indicators."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from ops.db import statement_timeout
from ops.health.limits import HealthLimits
from ops.models import Run
from ops.sql.query import fetch_all

# An indicator that takes longer is a burden itself.
STATEMENT_TIMEOUT = timedelta(seconds=5)


@dataclass(frozen=True)
class Unhealthy:
    """Why the run should be held, as text for a person, and for how long."""

    reason: str
    hold: timedelta


class Indicator:
    """One check of the database's health.

    ``role`` is the role that PostgreSQL demands for it, if any.
    """

    name: ClassVar[str]
    role: ClassVar[str | None] = None

    def __init__(self, run: Run, limits: HealthLimits) -> None:
        self.run, self.limits = run, limits

    def check(self) -> Unhealthy | None:
        """Return None where all is well. Called outside any transaction.

        Whatever it raises is reported as the reason why the indicator is unavailable.
        """
        raise NotImplementedError

    def unhealthy(self, reason: str) -> Unhealthy:
        return Unhealthy(reason, self.limits.hold)


def fetch_with_timeout(statement: str, *params: Any) -> list[tuple[Any, ...]]:
    """Fetch the rows of a SELECT in a short transaction of its own, under STATEMENT_TIMEOUT."""
    with statement_timeout(STATEMENT_TIMEOUT):
        return fetch_all(statement, *params)
