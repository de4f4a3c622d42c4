"""What only people know: each is asked in a terminal, or given by its option."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops import words
from ops.preflight.finding import Finding, Light, Situation
from ops.reading import read_span
from ops.typed import manage

NO = "no"


def team_notified(situation: Situation) -> Finding:
    said = situation.answers.team_notified
    if said is None:
        return Finding(Light.YELLOW, "Nobody said whether the team was notified.", todo=("--team-notified",))
    if said == NO:
        return Finding(Light.RED, "The team was not notified.", todo=("Tell it, then: --team-notified",))
    return Finding(Light.GREEN, f"Notified: {said}.")


def downtime(situation: Situation) -> Finding:
    span = situation.answers.downtime
    if span is None:
        return Finding(
            Light.YELLOW,
            "Nobody said how long players may have to wait.",
            todo=("--downtime 15min, or --downtime 0 for none",),
        )
    return Finding(Light.GREEN, words.duration(span) if span else "None is planned.")


def rollback_plan(situation: Situation) -> Finding:
    """A plan in a few words, or the file that holds it."""
    plan = situation.answers.rollback_plan
    if plan is None or plan == NO:
        found = "There is no rollback plan." if plan else "Nobody said how to take it back."
        return Finding(Light.RED, found, todo=("--rollback-plan TEXT|FILE",))
    if not _is_file(plan):
        return Finding(Light.GREEN, plan)
    text = Path(plan).read_bytes()
    if not text.strip():
        return Finding(Light.RED, f"{plan} is empty.", todo=("Write the plan into it.",))
    return Finding(Light.GREEN, f"{plan}, SHA-256 {hashlib.sha256(text).hexdigest()[:12]}…")


def monitoring(situation: Situation) -> Finding:
    said = situation.answers.monitoring
    if said is None:
        return Finding(Light.YELLOW, "Nobody said who watches, and what.", todo=("--monitoring",))
    if said == NO:
        todo = (f"tail -f logs/application.log; {manage('db_stats')}; then: --monitoring",)
        return Finding(Light.RED, "Nobody watches.", todo=todo)
    return Finding(Light.GREEN, f"In place: {said}.")


def read_yes(text: str) -> str:
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
    Question("team_notified", "Is the team notified of the maintenance window? (yes, no, or how)", read_yes),
    Question("downtime", "How long may players have to wait? (15min, 1h 30min, 0)", read_span),
    Question("rollback_plan", "How is it taken back? (a sentence, or a file)", read_yes),
    Question("monitoring", "Who watches, and what? (yes, no, or who)", read_yes),
)


def _is_file(plan: str) -> bool:
    try:
        return Path(plan).is_file()
    except (OSError, ValueError):  # too long for a name, or no name
        return False
