"""Lint a migration: find the statements, as `migrate` runs them, that are not safe while players play."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection
from django.db.migrations import Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from ops.column_changes.migration_operations import DropColumn, WatchColumn
from ops.column_changes.retire_operations import RetireOperation
from ops.formatting import first_line
from ops.migrate.catalog import Catalog
from ops.migrate.migration_plan import MigrationPlan, OperationPlan, plan_migration
from ops.migrate.migration_sql import iter_lines
from ops.migrate.operations import flatten, has_python
from ops.migrate.steps import Refusal
from ops.preflight.finding import Severity
from ops.preflight.rules import LINT_RULES
from ops.preflight.squawk import run_squawk

_TABLE_PATTERN = re.compile(
    r"\b(?:ALTER TABLE|DROP TABLE|TRUNCATE(?: TABLE)?)\s+"
    r'(?:IF EXISTS\s+)?(?:ONLY\s+)?((?:"[^"]+"|\w+)(?:\.(?:"[^"]+"|\w+))?)',
    re.IGNORECASE,
)
# What a column change does once triggers have the default, or its gate has seen that nobody needs the name.
_SAFE_IN: dict[str, type[Operation]] = {
    "ban-drop-default": WatchColumn,
    "renaming-column": RetireOperation,
    "ban-drop-column": DropColumn,
}


@dataclass(frozen=True)
class UnsafeStep:
    """A statement or operation that is not safe while players play."""

    severity: Severity
    description: str
    reason: str
    safe_alternative: str


def lint_migration(migration: Migration, before: ProjectState) -> list[UnsafeStep]:
    """Find the unsafe steps of the migration, applied to this state. Raises LinterUnavailable."""
    catalog = Catalog(connection)
    plan = plan_migration(migration, before, catalog)
    steps = [*_lint_operations(plan), *_lint_statements(plan, catalog)]
    return list(dict.fromkeys(steps))


def _lint_operations(plan: MigrationPlan) -> Iterator[UnsafeStep]:
    for each in plan.operations:
        for operation in flatten([each.bound.operation]):
            if has_python(operation):
                yield _build_step("python", operation.describe())
            if not operation.reversible:
                yield _build_step("no-way-back", operation.describe())
        yield from (_refuse(refusal, each) for refusal in each.refusals)
        if each.error:
            yield UnsafeStep(
                Severity.YELLOW,
                "its SQL cannot be shown in advance",
                first_line(each.error),
                "--rehearse applies it to a copy",
            )


def _refuse(refusal: Refusal, operation: OperationPlan) -> UnsafeStep:
    """Build a step for what `migrate` refuses, or for the same on a small table, which it lets through."""
    return UnsafeStep(
        Severity.RED if refusal.is_large else Severity.YELLOW,
        operation.bound.operation.describe(),
        refusal.reason,
        refusal.safe_alternative,
    )


def _lint_statements(plan: MigrationPlan, catalog: Catalog) -> Iterator[UnsafeStep]:
    lines = list(iter_lines(plan))
    # The number of the line, from 0 on, where each of them begins.
    starts = [sum(line.text.count("\n") + 1 for line in lines[:index]) for index in range(len(lines))]
    version: int = connection.pg_version  # type: ignore[attr-defined]
    for warning in run_squawk("\n".join(line.text for line in lines), version):
        line = next(
            (line for line, start in zip(lines[::-1], starts[::-1], strict=True) if start <= warning.line),
            None,
        )
        if line and line.operation and warning.rule in LINT_RULES and _is_there(line.text, catalog):
            operation = line.operation.bound.operation
            if not isinstance(operation, _SAFE_IN.get(warning.rule, ())):
                yield _build_step(warning.rule, operation.describe())


def _is_there(sql: str, catalog: Catalog) -> bool:
    """Whether the table that the statement changes exists; True for another statement."""
    match = _TABLE_PATTERN.search(sql)
    return match is None or catalog.table(match[1]) is not None


def _build_step(name: str, description: str) -> UnsafeStep:
    rule = LINT_RULES[name]
    return UnsafeStep(rule.severity, description, rule.reason, rule.safe_alternative)
