"""The checklist in words and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from textwrap import wrap
from typing import Any

from ops import words
from ops.preflight.checklist import Lines, verdict
from ops.preflight.finding import Finding, Light

_WIDTH = 100
_INDENT = 26
_MARKS = {Light.GREEN: "green", Light.YELLOW: "YELLOW", Light.RED: "RED"}


def as_lines(name: str, finding: Finding) -> list[str]:
    """One line of the checklist; what to do next is marked by an arrow."""
    head = f"  {_MARKS[finding.light]:<6}  {name:<{_INDENT - 12}}  "
    first, *more = wrap(words.harmless(finding.found), _WIDTH - _INDENT) or [""]
    rest = [*more, *_wrapped(finding.details, "· "), *_wrapped(finding.todo, "> ")]
    return [f"{head}{first}".rstrip(), *(" " * _INDENT + text for text in rest)]


def conclusion(lines: Lines) -> str:
    counts = [(light, sum(each.light == light for each in lines.values())) for light in reversed(Light)]
    told = ", ".join(f"{count} {light}" for light, count in counts if count)
    end = {
        Light.RED: "Not ready: mend what is red, and type it again.",
        Light.YELLOW: "Ready, if what is yellow is as you want it.",
        Light.GREEN: "Ready.",
    }
    return f"{told[:1].upper()}{told[1:]}. {end[verdict(lines)]}"


def as_json(lines: Lines) -> dict[str, Any]:
    return {
        "event": "preflight",
        "verdict": verdict(lines),
        "lines": [{"name": name, **asdict(each)} for name, each in lines.items()],
    }


def _wrapped(texts: tuple[str, ...], mark: str) -> list[str]:
    """Commands are never broken: they are there to be copied."""
    found = []
    for text in texts:
        pieces = [text] if mark == "> " else wrap(text, _WIDTH - _INDENT - len(mark)) or [text]
        found += [f"{mark if i == 0 else '  '}{piece}" for i, piece in enumerate(pieces)]
    return [words.harmless(text) for text in found]
