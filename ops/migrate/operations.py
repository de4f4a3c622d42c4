"""The operations of a migration, one by one, in the direction that it is run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.contrib.postgres.operations import NotInTransactionMixin
from django.db.migrations import Migration, RunPython, RunSQL
from django.db.migrations.exceptions import IrreversibleError
from django.db.migrations.operations.base import Operation
from django.db.migrations.operations.fields import FieldOperation
from django.db.migrations.operations.models import IndexOperation, ModelOperation
from django.db.migrations.operations.special import SeparateDatabaseAndState
from django.db.migrations.state import ProjectState

from ops.migrate.editor import SafeSchemaEditor


@dataclass
class BoundOperation:
    """An operation with the states before and after it, in the direction that it is run."""

    operation: Operation
    app_label: str
    before: ProjectState
    after: ProjectState
    is_backwards: bool

    @property
    def description(self) -> str:
        details = self.operation.sql if isinstance(self.operation, RunSQL) else self.operation.describe()
        return f"{type(self.operation).__name__}: {details}"

    def run(self, editor: SafeSchemaEditor) -> None:
        run = self.operation.database_backwards if self.is_backwards else self.operation.database_forwards
        run(self.app_label, editor, self.before, self.after)


def bind_operations(
    migration: Migration, state: ProjectState, is_backwards: bool
) -> tuple[list[BoundOperation], ProjectState]:
    """Return the operations in their order, and the state after the migration.

    ``state`` is the one before the migration in the order of the files, and is not changed. Raises
    IrreversibleError.
    """
    bound, before = [], state
    for operation in migration.operations:
        if is_backwards and not operation.reversible:
            raise IrreversibleError(f"Operation {operation} in {migration} is not reversible")
        after = before.clone()
        operation.state_forwards(migration.app_label, after)
        states = (after, before) if is_backwards else (before, after)
        bound.append(BoundOperation(operation, migration.app_label, *states, is_backwards))
        before = after
    if is_backwards:
        return bound[::-1], state
    return bound, before


def flatten(operations: Iterable[Operation]) -> Iterator[Operation]:
    for operation in operations:
        if isinstance(operation, SeparateDatabaseAndState):
            yield from flatten(operation.database_operations)
        else:
            yield operation


def refuses_transaction(operation: Operation) -> bool:
    """Whether the operation or a part of it wants no transaction around it, as AddIndexConcurrently."""
    return any(isinstance(each, NotInTransactionMixin) for each in flatten([operation]))


def is_sql_only(operation: Operation) -> bool:
    """Whether it does nothing but execute SQL that it knows in advance."""
    return all(isinstance(each, RunSQL | NotInTransactionMixin) for each in flatten([operation]))


def is_schema_only(operation: Operation) -> bool:
    """Whether it is one of Django's operations on tables, columns, indexes, constraints, or a trigger's."""
    kinds = (ModelOperation, FieldOperation, IndexOperation)
    return all(isinstance(each, kinds) for each in flatten([operation]))


def has_python(operation: Operation) -> bool:
    return any(isinstance(each, RunPython) for each in flatten([operation]))
