"""Read the operator's guide as steps: what is typed, and the output that follows.

    ```console            commands after `$ ` (more lines after `> `), each with its output below it;
                          `[1]` at the end is an exit status; `...` matches any text; alone, any lines
    ```console debian     the same, on Debian's PostgreSQL 15, which has pg_stat_statements
    ```diff               a patch to apply
    ```python PATH        code to append to that file, or a new file

The runbook is tested in a world of its own. HTML comments, which readers do not see, set problems up, or let
time pass:

    <!-- $ command -->    a command that must succeed
    <!-- stop redis -->   stop or start redis or postgres

Other blocks are ignored.
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
    """One thing to do.

    ``kind`` is console, diff, python, hidden, stop or start; ``content`` is the command, the patch, the code
    or the service; ``detail`` is the rest of the block's first line. ``output_start`` and ``output_end`` are
    the offsets of ``output`` in the chapter's text.
    """

    file: Path
    line: int
    kind: str
    detail: str
    content: str
    output: str = ""
    output_start: int = 0
    output_end: int = 0

    @property
    def place(self) -> str:
        return f"{self.file.name}:{self.line}"


def list_chapters() -> list[Path]:
    """List the chapters whose steps run one after the other in one world, in that order."""
    return sorted(path for path in GUIDE.glob("[0-9]*.md") if path.name != RUNBOOK)


def list_steps_with_setup(chapter: Path) -> list[Step]:
    """List the steps, and the hidden ones that set up their problems, in the order of the page."""
    text = chapter.read_text()
    hidden = [
        Step(
            chapter,
            _line_number(text, match.start()),
            "hidden" if match[1] == "$" else match[1],
            "",
            match[2],
        )
        for match in _HIDDEN.finditer(text)
    ]
    return sorted([*iter_steps(chapter), *hidden], key=lambda step: step.line)


def iter_steps(chapter: Path) -> Iterator[Step]:
    text = chapter.read_text()
    for block in _BLOCK.finditer(text):
        kind, detail, body = block.groups(default="")
        if kind == "console":
            yield from _iter_commands(chapter, text, detail, block.start(3), body)
        elif kind == "diff" or (kind == "python" and detail):
            yield Step(chapter, _line_number(text, block.start()), kind, detail, body)


def _iter_commands(chapter: Path, text: str, detail: str, offset: int, body: str) -> Iterator[Step]:
    matches = list(_COMMAND.finditer(body))
    ends = [*(match.start() for match in matches[1:]), len(body)]
    for match, end in zip(matches, ends, strict=True):
        command = match[1].replace("\n> ", "\n").replace("\n>\n", "\n\n")
        output = body[match.end() : end]
        line = _line_number(text, offset + match.start())
        yield Step(chapter, line, "console", detail, command, output, offset + match.end(), offset + end)


def replace_outputs(chapter: Path, outputs: dict[Step, str]) -> str:
    """Return the chapter's text with these outputs in place of the recorded ones."""
    text = chapter.read_text()
    for step in sorted(outputs, key=lambda step: step.output_start, reverse=True):
        is_last = text.startswith("```", step.output_end)
        output = f"{outputs[step].rstrip()}\n".lstrip("\n") + ("" if is_last else "\n")
        text = text[: step.output_start] + output + text[step.output_end :]
    return text


def _line_number(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1
