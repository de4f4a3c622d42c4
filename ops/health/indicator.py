"""What an indicator is: it is asked, and answers nothing where all is well."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from django.db import connection

from ops.db import impatient
from ops.health.limits import Limits
from ops.models import Run

# An indicator that takes longer is a burden itself.
PATIENCE = timedelta(seconds=5)


@dataclass(frozen=True)
class Sick:
    """Why the run should hold, in words, and for how long."""

    reason: str
    hold: timedelta


class Indicator:
    """One question about the database's health.

    ``role`` is the role without which PostgreSQL does not answer it.
    """

    name: ClassVar[str]
    role: ClassVar[str | None] = None

    def __init__(self, run: Run, limits: Limits) -> None:
        self.run, self.limits = run, limits

    def ask(self) -> Sick | None:
        """None where all is well. Outside any transaction; what it raises is why it cannot be asked."""
        raise NotImplementedError

    def sick(self, reason: str) -> Sick:
        return Sick(reason, self.limits.hold)


def rows(statement: str, *params: Any) -> list[tuple[Any, ...]]:
    """The rows of a query, in a short transaction of its own."""
    with impatient(PATIENCE), connection.cursor() as cursor:
        cursor.execute(statement, params)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found
