"""The checklist in words and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from textwrap import wrap
from typing import Any

from ops.formatting import escape_control_chars
from ops.preflight.checklist import FindingsByName, overall_severity
from ops.preflight.finding import Finding, Severity

_WIDTH = 100
_INDENT = 26
_MARKS = {Severity.GREEN: "green", Severity.YELLOW: "YELLOW", Severity.RED: "RED"}


def as_lines(name: str, finding: Finding) -> list[str]:
    """One line of the checklist; what to do next is marked by an arrow."""
    head = f"  {_MARKS[finding.light]:<6}  {name:<{_INDENT - 12}}  "
    first, *more = wrap(escape_control_chars(finding.found), _WIDTH - _INDENT) or [""]
    rest = [*more, *_wrap_texts(finding.details, "· "), *_wrap_texts(finding.todo, "> ")]
    return [f"{head}{first}".rstrip(), *(" " * _INDENT + text for text in rest)]


def format_conclusion(lines: FindingsByName) -> str:
    counts = [(light, sum(each.light == light for each in lines.values())) for light in reversed(Severity)]
    told = ", ".join(f"{count} {light}" for light, count in counts if count)
    end = {
        Severity.RED: "Not ready: mend what is red, and type it again.",
        Severity.YELLOW: "Ready, if what is yellow is as you want it.",
        Severity.GREEN: "Ready.",
    }
    return f"{told[:1].upper()}{told[1:]}. {end[overall_severity(lines)]}"


def as_json(lines: FindingsByName) -> dict[str, Any]:
    return {
        "event": "preflight",
        "verdict": overall_severity(lines),
        "lines": [{"name": name, **asdict(each)} for name, each in lines.items()],
    }


def _wrap_texts(texts: tuple[str, ...], mark: str) -> list[str]:
    """Commands are never broken: they are there to be copied."""
    found = []
    for text in texts:
        pieces = [text] if mark == "> " else wrap(text, _WIDTH - _INDENT - len(mark)) or [text]
        found += [f"{mark if i == 0 else '  '}{piece}" for i, piece in enumerate(pieces)]
    return [escape_control_chars(text) for text in found]
