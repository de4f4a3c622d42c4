"""How the database stands to the migrations, in words and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import ndiff
from typing import Any

from ops import words
from ops.schema.drift import Difference
from ops.standing import Standing, name_of


def as_lines(now: Standing, found: list[Difference]) -> list[str]:
    lines = [f"{words.plural(len(now.applied), 'migration')} applied, {len(now.unapplied)} to apply."]
    lines += [f"  to apply  {name_of(migration)}" for migration in now.unapplied]
    lines += [f"  unknown to this code  {'.'.join(key)}" for key in now.unknown]
    if not found:
        return [*lines, "The schema is what the applied migrations make."]
    lines.append(f"{words.plural(len(found), 'difference')} from what the applied migrations make:")
    for difference in found:
        lines += ["", difference.words, *_definitions(difference)]
    return lines


def as_json(now: Standing, found: list[Difference]) -> dict[str, Any]:
    return {
        "event": "schema_drift",
        "applied": [name_of(migration) for migration in now.applied],
        "unapplied": [name_of(migration) for migration in now.unapplied],
        "unknown": [".".join(key) for key in now.unknown],
        "differences": [
            {"kind": d.thing.kind, "name": d.thing.name, "expected": d.expected, "found": d.found}
            for d in found
        ],
    }


def _definitions(difference: Difference) -> Iterator[str]:
    """What should be there after a minus, what is there after a plus."""
    expected = (difference.expected or "").splitlines()
    for line in ndiff(expected, (difference.found or "").splitlines()):
        if not line.startswith("?"):
            yield f"  {line}".rstrip()
