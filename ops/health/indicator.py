"""What an indicator is: it is asked, and answers nothing where all is well."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from django.db import connection

from ops.db import statement_timeout
from ops.health.limits import HealthLimits
from ops.models import Run

# An indicator that takes longer is a burden itself.
STATEMENT_TIMEOUT = timedelta(seconds=5)


@dataclass(frozen=True)
class Unhealthy:
    """Why the run should hold, in words, and for how long."""

    reason: str
    hold: timedelta


class Indicator:
    """One question about the database's health.

    ``role`` is the role without which PostgreSQL does not answer it.
    """

    name: ClassVar[str]
    role: ClassVar[str | None] = None

    def __init__(self, run: Run, limits: HealthLimits) -> None:
        self.run, self.limits = run, limits

    def ask(self) -> Unhealthy | None:
        """None where all is well. Outside any transaction; what it raises is why it cannot be asked."""
        raise NotImplementedError

    def sick(self, reason: str) -> Unhealthy:
        return Unhealthy(reason, self.limits.hold)


def fetch_rows(statement: str, *params: Any) -> list[tuple[Any, ...]]:
    """The rows of a query, in a short transaction of its own."""
    with statement_timeout(STATEMENT_TIMEOUT), connection.cursor() as cursor:
        cursor.execute(statement, params)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found
