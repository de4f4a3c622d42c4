"""A migration as the SQL that `migrate` runs, in the form of `sqlmigrate`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ops.migrate.migration_plan import PYTHON, MigrationPlan, OperationPlan
from ops.migrate.steps import Place, Step


@dataclass(frozen=True)
class Line:
    """A text of one or more lines; ``step`` and ``operation`` if it is a statement of the migration."""

    text: str
    operation: OperationPlan | None = None
    step: Step | None = None


def iter_lines(plan: MigrationPlan) -> Iterator[Line]:
    """Yield the statements with the transactions that they are run in, and comments."""
    if plan.is_atomic:
        yield Line("BEGIN;")
    for operation in plan.operations:
        yield Line(f"--\n-- {operation.bound.operation.describe()}\n--")
        if operation.note or not operation.steps:
            yield Line(_comment(operation.note))
        if plan.is_atomic:
            yield from _statements(operation, operation.steps[: operation.deferred_from])
        else:
            yield from _with_transactions(operation)
    if plan.is_atomic:
        for operation in plan.operations:
            if operation.deferred_from is not None:
                yield from _statements(operation, operation.steps[operation.deferred_from :])
        yield Line("COMMIT;")


def _comment(note: str) -> str:
    if note == PYTHON:
        return "-- THIS OPERATION CANNOT BE WRITTEN AS SQL"
    return f"-- {note or '(no-op)'}"


def _statements(operation: OperationPlan, steps: list[Step]) -> Iterator[Line]:
    for step in steps:
        yield _statement(operation, step)


def _statement(operation: OperationPlan, step: Step) -> Line:
    return Line(step.sql if step.sql.rstrip().endswith(";") else f"{step.sql};", operation, step)


def _with_transactions(operation: OperationPlan) -> Iterator[Line]:
    """The first statements are one transaction, and each later one that may be in one has its own."""
    is_first = [step.place == Place.SHARED for step in operation.steps]
    count = is_first.index(False) if False in is_first else len(is_first)
    if count:
        yield Line("BEGIN;")
        yield from _statements(operation, operation.steps[:count])
        yield Line("COMMIT;")
    for step in operation.steps[count:]:
        if step.place == Place.NONE:
            yield _statement(operation, step)
        else:
            yield from (Line("BEGIN;"), _statement(operation, step), Line("COMMIT;"))
