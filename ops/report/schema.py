"""The migration status and the schema drift, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import ndiff
from typing import Any

from ops.formatting import pluralize
from ops.migration_status import MigrationStatus, migration_label
from ops.schema.drift import SchemaDifference


def as_lines(status: MigrationStatus, differences: list[SchemaDifference]) -> list[str]:
    lines = [f"{pluralize(len(status.applied), 'migration')} applied, {len(status.unapplied)} to apply."]
    lines += [f"  to apply  {migration_label(migration)}" for migration in status.unapplied]
    lines += [f"  unknown to this code  {'.'.join(key)}" for key in status.unknown]
    if not differences:
        return [*lines, "The schema matches the applied migrations."]
    lines.append(f"{pluralize(len(differences), 'difference')} from the applied migrations:")
    for difference in differences:
        lines += ["", difference.summary, *_diff_lines(difference)]
    return lines


def as_json(status: MigrationStatus, differences: list[SchemaDifference]) -> dict[str, Any]:
    return {
        "event": "schema_drift",
        "applied": [migration_label(migration) for migration in status.applied],
        "unapplied": [migration_label(migration) for migration in status.unapplied],
        "unknown": [".".join(key) for key in status.unknown],
        "differences": [
            {
                "kind": d.schema_object.kind,
                "name": d.schema_object.name,
                "expected": d.expected,
                "found": d.actual,
            }
            for d in differences
        ],
    }


def _diff_lines(difference: SchemaDifference) -> Iterator[str]:
    """Diff the definitions: expected lines after a minus, actual ones after a plus."""
    expected = (difference.expected or "").splitlines()
    for line in ndiff(expected, (difference.actual or "").splitlines()):
        if not line.startswith("?"):
            yield f"  {line}".rstrip()
