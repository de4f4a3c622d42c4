"""The errors of packs, whose messages are for the author of the pack."""

from __future__ import annotations

from dataclasses import dataclass, field

from ops.exceptions import InvalidContent, OpsError

MAX_REPORTED_ROWS = 20


class UnreadableFile(OpsError):
    """The file does not exist or may not be read: a wrong argument of the command."""

    exit_status = 2


class InvalidPack(InvalidContent):
    """The file is not a valid pack."""


class BadValue(ValueError):
    """One value of one row is wrong; the message says why."""


@dataclass
class BadRows:
    """The number of bad rows, and the first with their reasons: rows that could not be parsed, and other rows
    that violate a constraint; at most ``limit`` are kept."""

    limit: int = MAX_REPORTED_ROWS
    total: int = 0
    reported: list[tuple[int, str]] = field(default_factory=list)

    def add(self, position: int, reason: str) -> None:
        """Add a row that could not be parsed."""
        self.total += 1
        if len(self.reported) < self.limit:
            self.reported.append((position, reason))

    def extend(self, rows: list[tuple[int, str]], total: int) -> None:
        """Add the result of a query: the first rows with a fault, and their total number."""
        self.total += total
        self.reported += rows

    def first_reported(self) -> list[tuple[int, str]]:
        """Return the first rows in the order of the pack."""
        return sorted(self.reported)[: self.limit]
