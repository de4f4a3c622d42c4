"""The preflight checklist as text and as JSON."""

from __future__ import annotations

from collections import Counter
from textwrap import wrap
from typing import Any

from ops.formatting import escape_control_chars
from ops.preflight.checklist import FindingsByName, overall_severity
from ops.preflight.finding import Finding, Severity

_WIDTH = 100
_INDENT = 26
_MARKS = {Severity.GREEN: "green", Severity.YELLOW: "YELLOW", Severity.RED: "RED"}


def as_lines(name: str, finding: Finding) -> list[str]:
    """Format one finding of the checklist; each line of ``todo`` begins with an arrow."""
    head = f"  {_MARKS[finding.severity]:<6}  {name:<{_INDENT - 12}}  "
    first, *more = wrap(escape_control_chars(finding.message), _WIDTH - _INDENT) or [""]
    rest = [*more, *_wrap_texts(finding.details, "· "), *_wrap_texts(finding.todo, "> ")]
    return [f"{head}{first}".rstrip(), *(" " * _INDENT + text for text in rest)]


def format_conclusion(findings: FindingsByName) -> str:
    counts = Counter(finding.severity for finding in findings.values())
    summary = ", ".join(
        f"{counts[severity]} {severity}" for severity in reversed(Severity) if counts[severity]
    )
    conclusions = {
        Severity.RED: "Not ready: fix what is red, then run preflight again.",
        Severity.YELLOW: "Ready, if you accept what is yellow.",
        Severity.GREEN: "Ready.",
    }
    return f"{summary}. {conclusions[overall_severity(findings)]}"


def as_json(findings: FindingsByName) -> dict[str, Any]:
    return {
        "event": "preflight",
        "verdict": overall_severity(findings),
        "lines": [{"name": name, **_finding_to_dict(finding)} for name, finding in findings.items()],
    }


def _finding_to_dict(finding: Finding) -> dict[str, Any]:
    return {
        "light": finding.severity,
        "found": finding.message,
        "details": finding.details,
        "todo": finding.todo,
    }


def _wrap_texts(texts: tuple[str, ...], mark: str) -> list[str]:
    """Wrap the texts; commands stay on one line, so that they can be copied."""
    lines = []
    for text in texts:
        pieces = [text] if mark == "> " else wrap(text, _WIDTH - _INDENT - len(mark)) or [text]
        lines += [f"{mark if i == 0 else '  '}{piece}" for i, piece in enumerate(pieces)]
    return [escape_control_chars(line) for line in lines]
