"""How the database stands to the migrations, in words and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import ndiff
from typing import Any

from ops.formatting import pluralize
from ops.migration_status import MigrationStatus, migration_label
from ops.schema.drift import SchemaDifference


def as_lines(now: MigrationStatus, found: list[SchemaDifference]) -> list[str]:
    lines = [f"{pluralize(len(now.applied), 'migration')} applied, {len(now.unapplied)} to apply."]
    lines += [f"  to apply  {migration_label(migration)}" for migration in now.unapplied]
    lines += [f"  unknown to this code  {'.'.join(key)}" for key in now.unknown]
    if not found:
        return [*lines, "The schema is what the applied migrations make."]
    lines.append(f"{pluralize(len(found), 'difference')} from what the applied migrations make:")
    for difference in found:
        lines += ["", difference.summary, *_diff_lines(difference)]
    return lines


def as_json(now: MigrationStatus, found: list[SchemaDifference]) -> dict[str, Any]:
    return {
        "event": "schema_drift",
        "applied": [migration_label(migration) for migration in now.applied],
        "unapplied": [migration_label(migration) for migration in now.unapplied],
        "unknown": [".".join(key) for key in now.unknown],
        "differences": [
            {
                "kind": d.schema_object.kind,
                "name": d.schema_object.name,
                "expected": d.expected,
                "found": d.actual,
            }
            for d in found
        ],
    }


def _diff_lines(difference: SchemaDifference) -> Iterator[str]:
    """What should be there after a minus, what is there after a plus."""
    expected = (difference.expected or "").splitlines()
    for line in ndiff(expected, (difference.actual or "").splitlines()):
        if not line.startswith("?"):
            yield f"  {line}".rstrip()
