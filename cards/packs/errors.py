"""What can be wrong with a pack, in words for the person who made it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ops.exceptions import InvalidContent, OpsError

MAX_REPORTED_ROWS = 20


class UnreadableFile(OpsError):
    """There is no such file, or it may not be read: the command was given the wrong words."""

    exit_status = 2


class InvalidPack(InvalidContent):
    """The file can be read, but it is no pack."""


class BadValue(ValueError):
    """One value of one row is wrong; the message says why."""


@dataclass
class BadRows:
    """How many rows are bad, and the first with their reasons: of those that could not be read, and of those
    that could, which are others."""

    total: int = 0
    reported: list[tuple[int, str]] = field(default_factory=list)

    def add(self, place: int, reason: str) -> None:
        self.total += 1
        if len(self.reported) < MAX_REPORTED_ROWS:
            self.reported.append((place, reason))

    def extend(self, found: list[tuple[int, str]], total: int) -> None:
        """What one query found: the first rows that have a fault, and how many rows have."""
        self.total += total
        self.reported += found

    def first_reported(self) -> list[tuple[int, str]]:
        return sorted(self.reported)[:MAX_REPORTED_ROWS]
