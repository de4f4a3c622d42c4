"""Checks that only a person can answer, in a terminal or by an option."""

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

YES, NO = "yes", "no"
_NOT_A_PLAN = {
    None: "No rollback plan is given.",
    "": "The rollback plan is empty.",
    NO: "There is no rollback plan.",
    YES: '"yes" is not a rollback plan.',
}


def check_team_notified(context: PreflightContext) -> Finding:
    answer = context.answers.team_notified
    if not answer:
        return Finding(
            Severity.YELLOW, "The notification of the team is not confirmed.", todo=("--team-notified",)
        )
    if answer == NO:
        return Finding(
            Severity.RED, "The team was not notified.", todo=("Notify it, then add: --team-notified",)
        )
    return Finding(Severity.GREEN, f"Notified: {answer}.")


def check_downtime(context: PreflightContext) -> Finding:
    downtime = context.answers.downtime
    if downtime is None:
        return Finding(
            Severity.YELLOW,
            "The expected downtime is not given.",
            todo=("--downtime 15min, or --downtime 0 for none",),
        )
    return Finding(Severity.GREEN, format_duration(downtime) if downtime else "None is planned.")


def check_rollback_plan(context: PreflightContext) -> Finding:
    """Accept a plan as text, or the path of a file that holds it."""
    plan = context.answers.rollback_plan
    if plan is None or plan in _NOT_A_PLAN:
        return Finding(Severity.RED, _NOT_A_PLAN[plan], todo=("--rollback-plan TEXT|FILE",))
    if not _is_file(plan):
        return Finding(Severity.GREEN, plan)
    content = Path(plan).read_bytes()
    if not content.strip():
        return Finding(Severity.RED, f"{plan} is empty.", todo=("Write the plan into it.",))
    return Finding(Severity.GREEN, f"{plan}, SHA-256 {hashlib.sha256(content).hexdigest()[:12]}…")


def check_monitoring(context: PreflightContext) -> Finding:
    answer = context.answers.monitoring
    if not answer:
        return Finding(Severity.YELLOW, "Monitoring is not confirmed.", todo=("--monitoring",))
    if answer == NO:
        todo = (f"tail -f logs/application.log; {manage_command('db_stats')}; then add: --monitoring",)
        return Finding(Severity.RED, "Nobody monitors the database.", todo=todo)
    return Finding(Severity.GREEN, f"In place: {answer}.")


def parse_answer(text: str) -> str:
    """Normalize ``yes`` and ``no``; any other text is returned as it is, without spaces around it."""
    answer = text.strip()
    return {"y": YES, "yes": YES, "n": NO, "no": NO}.get(answer.lower(), answer)


@dataclass(frozen=True)
class Question:
    """``name`` is the field of ManualAnswers; ``parse`` raises ValueError."""

    name: str
    text: str
    parse: Callable[[str], Any]


QUESTIONS = (
    Question(
        "team_notified", "Is the team notified of the maintenance window? (yes, no, or how)", parse_answer
    ),
    Question("downtime", "How long may the downtime be? (15min, 1h 30min, 0)", parse_duration),
    Question("rollback_plan", "How is it rolled back? (a sentence, or a file)", parse_answer),
    Question("monitoring", "Who watches, and what? (yes, no, or who)", parse_answer),
)


def _is_file(plan: str) -> bool:
    try:
        return Path(plan).is_file()
    except (OSError, ValueError):  # too long, or not a file name
        return False
