"""Compare two outputs, ignoring times, rates, sizes, checksums and versions."""

from __future__ import annotations

import re

_MASKS = [
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00|\+00)?", "<time>"),
    (r"\d{4}-\d\d-\d\d( \d\d:\d\d)?", "<date>"),
    (r"\d{8}T\d{6}Z|\d{8}_\d{6}", "<stamp>"),
    (r"\b\d\d:\d\d:\d\d\b", "<clock>"),
    (r"\b[A-Z][a-z]{2} +\d+ \d\d:\d\d\b", "<date of ls>"),
    (r"(?<=^[-d][-rwx]{9}) +\d+ +\S+ +\S+ ", " <owner of ls> "),
    (r" +[\d.]+[KM]?(?= <date of ls>)", " <size of ls>"),
    (r"\b[0-9a-f]{64}\b", "<sha256>"),
    (r"\b[0-9a-f]{12}…", "<sha256>"),
    (r"[\d,]+ rows/s", "<rate>"),
    (
        r"(about )?\b(\d+ h \d+ min|\d+ min \d+ s|\d+(\.\d+)? (s|ms|min))\b|less than (a second|0\.1 s)",
        "<span>",
    ),
    (r"\b[\d.,]+ (bytes|kB|MB|GB|TB)\b", "<size>"),
    (r"\b\d+(\.\d+)?[KM]\b", "<size of ls>"),
    (r"\b(\d+ batch(es)?(?!=)|batches +\d+|batches=\d+)\b", "<batches>"),
    (r"\b(seconds|rate)=[\d.]+", r"\1=<number>"),
    (r'"(elapsed|rate|batches|oldest_waiting_seconds)": [\d.]+', r'"\1": <number>'),
    (r"[\d,]+( rows)? in \d+ tables(: audit_logs [\d,]+)?", "<rows>"),
    (r"auth_permission [\d,]+", "<permissions>"),
    (r"\b(All )?\d+ (migrations applied|are applied)", "<migrations>"),
    (r"127\.0\.0\.1:\d+", "<server>"),
    (r"process=\S+", "process=<process>"),
    (r"PostgreSQL \d+(\.\d+)?( \([^)]*\))?", "PostgreSQL <version>"),
    (r"[-─━]{3,}", "---"),
    (r"\s+", " "),
]

_PROGRESS = re.compile(r"run \d+: [\d,]+ of [\d,]+ \(")


def is_alike(recorded: str, actual: str) -> bool:
    """Whether the outputs are equal once masked.

    In ``recorded``, the guide's, ``...`` matches any text; alone on a line, any number of lines.
    """
    parts = [
        r"(.*\n)*" if line == "..." else f"{_line_pattern(line)}\n" for line in comparable_lines(recorded)
    ]
    lines = "".join(f"{line}\n" for line in comparable_lines(actual))
    return re.fullmatch("".join(parts), lines) is not None


def _line_pattern(line: str) -> str:
    return ".*".join(map(re.escape, line.split("...")))


def comparable_lines(text: str) -> list[str]:
    """Mask the lines; drop empty ones at the end, and progress, which slow machines print more of."""
    return [_mask(line) for line in text.rstrip().splitlines() if not _PROGRESS.match(line)]


def _mask(line: str) -> str:
    for pattern, mask in _MASKS:
        line = re.sub(pattern, mask, line)
    return line.strip()
