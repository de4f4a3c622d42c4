"""The operator's guide as steps: what is typed, and what is then read.

    ```console            commands behind `$ ` (further lines behind `> `), each with its output under it;
                          `[1]` at the end is an exit status; `...` stands for anything, alone for any lines
    ```console debian     the same, on Debian's PostgreSQL 15, which has pg_stat_statements
    ```diff               a change of the code, applied
    ```python PATH        put at the end of that file, or a new one

The runbook is a chapter of its own world. What makes its troubles stands in comments, which no reader sees:

    <!-- $ command -->    typed, and must go well
    <!-- stop redis -->   or start, and postgres

Any other block is only read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RUNBOOK = "10-runbook.md"
GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide"
_BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HIDDEN = re.compile(r"^<!-- (\$|stop|start) ((?:(?!-->).)+?) -->$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^\$ (.*(?:\n> .*|\n>$)*)\n?", re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """``kind`` is console, diff or python; ``start`` and ``end`` are where the output stands in the text."""

    file: Path
    line: int
    kind: str
    detail: str
    typed: str
    told: str = ""
    start: int = 0
    end: int = 0

    @property
    def place(self) -> str:
        return f"{self.file.name}:{self.line}"


def chapters() -> list[Path]:
    """Those that are gone through one after the other."""
    return sorted(path for path in GUIDE.glob("[0-9]*.md") if path.name != RUNBOOK)


def with_troubles(chapter: Path) -> list[Step]:
    """Its steps, and among them what makes the troubles that they are about."""
    text = chapter.read_text()
    hidden = [
        Step(chapter, _line(text, found.start()), "hidden" if found[1] == "$" else found[1], "", found[2])
        for found in _HIDDEN.finditer(text)
    ]
    return sorted([*steps(chapter), *hidden], key=lambda step: step.line)


def steps(chapter: Path) -> Iterator[Step]:
    text = chapter.read_text()
    for block in _BLOCK.finditer(text):
        kind, detail, body = block.groups(default="")
        if kind == "console":
            yield from _commands(chapter, text, detail, block.start(3), body)
        elif kind == "diff" or (kind == "python" and detail):
            yield Step(chapter, _line(text, block.start()), kind, detail, body)


def _commands(chapter: Path, text: str, detail: str, offset: int, body: str) -> Iterator[Step]:
    found = list(_COMMAND.finditer(body))
    ends = [*(each.start() for each in found[1:]), len(body)]
    for each, end in zip(found, ends, strict=True):
        typed = each[1].replace("\n> ", "\n").replace("\n>\n", "\n\n")
        told = body[each.end() : end]
        line = _line(text, offset + each.start())
        yield Step(chapter, line, "console", detail, typed, told, offset + each.end(), offset + end)


def written(chapter: Path, told: dict[Step, str]) -> str:
    """The chapter's text with these outputs in the place of those of their steps."""
    text = chapter.read_text()
    for step in sorted(told, key=lambda step: step.start, reverse=True):
        last = text.startswith("```", step.end)
        output = f"{told[step].rstrip()}\n".lstrip("\n") + ("" if last else "\n")
        text = text[: step.start] + output + text[step.end :]
    return text


def _line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1
