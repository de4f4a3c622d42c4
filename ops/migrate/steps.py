"""What a statement of a migration becomes: steps that keep nobody waiting for long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ops.command_lines import manage_command
from ops.exceptions import OpsError
from ops.formatting import truncate
from ops.migrate.rules import RULES
from ops.migrate.sql_reader import Reader


class Place(StrEnum):
    """Where a step is run.

    In the migration's transaction; in one of its own, after that was committed, so that no lock is kept while
    it takes long; or in none, as CONCURRENTLY wants it.
    """

    SHARED = "shared"
    OWN = "own"
    NONE = "none"


@dataclass(frozen=True)
class Step:
    sql: str
    place: Place = Place.SHARED


@dataclass(frozen=True)
class Refusal:
    """A statement that would keep players of a large table waiting for long: the rule, and the table."""

    rule: str
    table: str
    is_large: bool
    sql: str

    @property
    def reason(self) -> str:
        return RULES[self.rule].reason

    @property
    def safe_alternative(self) -> str:
        return RULES[self.rule].safe_alternative


@dataclass(frozen=True)
class Rewritten:
    """The steps of a statement, and why it should not be run."""

    steps: tuple[Step, ...]
    refusal: Refusal | None = None


class UnsafeMigration(OpsError):
    """A migration would keep players waiting for long."""

    exit_status = 2

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        lines = ["The migration is not safe while players play. It was not applied."]
        for refusal in refusals:
            lines += [
                f"  {truncate(' '.join(refusal.sql.split()), 100)}",
                f"    {refusal.reason} ({refusal.table})",
                f"    safe: {refusal.safe_alternative}",
            ]
        command = manage_command("migrate", "--allow-unsafe", "--statement-timeout", "1h")
        super().__init__("\n".join(lines), f"\nTo apply it while nobody plays: {command}")


def join_transactions(steps: Sequence[Step]) -> list[Step]:
    """Make one step of those between BEGIN and COMMIT, as raw SQL may have them."""
    joined: list[Step] = []
    inside: list[str] | None = None
    for step in steps:
        reader = Reader(step.sql)
        if inside is None and reader.accept_any("BEGIN", "START TRANSACTION"):
            inside = []
        elif inside is not None and reader.accept_any("COMMIT", "END"):
            joined.append(Step("; ".join(inside)))
            inside = None
        elif inside is not None:
            inside.append(step.sql)
        else:
            joined.append(step)
    return joined if inside is None else list(steps)
