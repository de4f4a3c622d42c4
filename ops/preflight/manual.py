"""What only people know: each is asked in a terminal, or given by its option."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.command_lines import manage_command
from ops.formatting import format_duration
from ops.parsing import parse_duration
from ops.preflight.finding import Finding, PreflightContext, Severity

NO = "no"


def check_team_notified(context: PreflightContext) -> Finding:
    said = context.answers.team_notified
    if said is None:
        return Finding(
            Severity.YELLOW, "Nobody said whether the team was notified.", todo=("--team-notified",)
        )
    if said == NO:
        return Finding(Severity.RED, "The team was not notified.", todo=("Tell it, then: --team-notified",))
    return Finding(Severity.GREEN, f"Notified: {said}.")


def check_downtime(context: PreflightContext) -> Finding:
    span = context.answers.downtime
    if span is None:
        return Finding(
            Severity.YELLOW,
            "Nobody said how long players may have to wait.",
            todo=("--downtime 15min, or --downtime 0 for none",),
        )
    return Finding(Severity.GREEN, format_duration(span) if span else "None is planned.")


def check_rollback_plan(context: PreflightContext) -> Finding:
    """A plan in a few words, or the file that holds it."""
    plan = context.answers.rollback_plan
    if plan is None or plan == NO:
        found = "There is no rollback plan." if plan else "Nobody said how to take it back."
        return Finding(Severity.RED, found, todo=("--rollback-plan TEXT|FILE",))
    if not _is_file(plan):
        return Finding(Severity.GREEN, plan)
    text = Path(plan).read_bytes()
    if not text.strip():
        return Finding(Severity.RED, f"{plan} is empty.", todo=("Write the plan into it.",))
    return Finding(Severity.GREEN, f"{plan}, SHA-256 {hashlib.sha256(text).hexdigest()[:12]}…")


def check_monitoring(context: PreflightContext) -> Finding:
    said = context.answers.monitoring
    if said is None:
        return Finding(Severity.YELLOW, "Nobody said who watches, and what.", todo=("--monitoring",))
    if said == NO:
        todo = (f"tail -f logs/application.log; {manage_command('db_stats')}; then: --monitoring",)
        return Finding(Severity.RED, "Nobody watches.", todo=todo)
    return Finding(Severity.GREEN, f"In place: {said}.")


def parse_answer(text: str) -> str:
    """``yes`` and ``no`` in any case; anything else says who, how or what."""
    said = text.strip()
    return {"y": "yes", "yes": "yes", "n": NO, "no": NO}.get(said.lower(), said)


@dataclass(frozen=True)
class Question:
    """``name`` is that of the answer; ``read`` raises ValueError."""

    name: str
    text: str
    read: Callable[[str], Any]


QUESTIONS = (
    Question(
        "team_notified", "Is the team notified of the maintenance window? (yes, no, or how)", parse_answer
    ),
    Question("downtime", "How long may players have to wait? (15min, 1h 30min, 0)", parse_duration),
    Question("rollback_plan", "How is it taken back? (a sentence, or a file)", parse_answer),
    Question("monitoring", "Who watches, and what? (yes, no, or who)", parse_answer),
)


def _is_file(plan: str) -> bool:
    try:
        return Path(plan).is_file()
    except (OSError, ValueError):  # too long for a name, or no name
        return False
