"""What only people know: each is asked in a terminal, or given by its option."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from ops.preflight.finding import Finding, Light, Situation
from ops.report import words

NO = "no"
_SIZES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS = {"s": "seconds", "sec": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days"}


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
        todo = ("tail -f logs/application.log; manage.py db_stats; then: --monitoring",)
        return Finding(Light.RED, "Nobody watches.", todo=todo)
    return Finding(Light.GREEN, f"In place: {said}.")


def read_span(text: str) -> timedelta:
    """``15min``, ``1h 30min``, ``0``, ``none``. Raises ValueError."""
    if text.strip().lower() in ("0", "none", NO):
        return timedelta()
    parts = re.findall(r"(\d+)\s*([a-z]+)", text.lower())
    if not parts or "".join(n + unit for n, unit in parts) != re.sub(r"\s", "", text.lower()):
        raise ValueError(text)
    try:
        return sum((timedelta(**{_UNITS[unit]: int(n)}) for n, unit in parts), timedelta())
    except (KeyError, OverflowError):
        raise ValueError(text) from None


def read_size(text: str) -> int:
    """Bytes of ``200GB`` or ``1.5 TB``. Raises ValueError."""
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?b?)", text.strip().lower())
    if parts is None or parts[2] in ("k", "m", "g", "t"):
        raise ValueError(text)
    return int(float(parts[1]) * _SIZES[parts[2]])


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
