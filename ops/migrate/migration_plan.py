"""What a migration will execute, found without executing it."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.core.exceptions import FieldDoesNotExist
from django.db import DatabaseError
from django.db.migrations import Migration, RemoveField
from django.db.migrations.state import ProjectState

from ops.formatting import first_line
from ops.migrate.catalog import Catalog
from ops.migrate.editor import SafeSchemaEditor
from ops.migrate.operations import BoundOperation, bind_operations, has_python, refuses_transaction
from ops.migrate.steps import Place, Refusal, Step, UnsafeMigration
from ops.sqlstates import RETRYABLE, sqlstate

# What Django raises where an operation looks in the database for what an earlier one would have made.
_NOT_IN_ADVANCE = (DatabaseError, ValueError, LookupError, FieldDoesNotExist)


PYTHON = "Python, whose statements cannot be shown in advance"


@dataclass
class OperationPlan:
    """The steps of an operation. ``note`` says what is not shown; ``error`` is why it cannot be.

    The steps from number ``deferred_from`` on are executed at the end of a migration that is one transaction.
    """

    bound: BoundOperation
    steps: list[Step] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    deferred_from: int | None = None
    note: str = ""
    error: Exception | None = None


@dataclass
class MigrationPlan:
    """``is_atomic``: whether the migration is one transaction."""

    migration: Migration
    operations: list[OperationPlan]
    state_after: ProjectState

    @property
    def is_atomic(self) -> bool:
        leaves = any(step.place != Place.SHARED for operation in self.operations for step in operation.steps)
        refuses = any(refuses_transaction(operation.bound.operation) for operation in self.operations)
        return bool(self.migration.atomic) and not leaves and not refuses

    @property
    def refusals(self) -> list[Refusal]:
        return [refusal for operation in self.operations for refusal in operation.refusals]

    def require_safe(self) -> None:
        """Raise UnsafeMigration if a statement would keep players of a large table waiting."""
        refusals = [refusal for refusal in self.refusals if refusal.is_large]
        if refusals:
            raise UnsafeMigration(refusals)


def plan_migration(
    migration: Migration, state: ProjectState, catalog: Catalog, is_backwards: bool = False
) -> MigrationPlan:
    """Plan the migration; ``state`` is the one before it in the order of the files."""
    bound, after = bind_operations(migration, state, is_backwards)
    return MigrationPlan(migration, [_plan_operation(each, catalog) for each in bound], after)


def plan_without_players(migration: Migration, state: ProjectState, is_backwards: bool) -> MigrationPlan:
    """Plan the migration of a new database, where nobody waits, so that its statements need not be known."""
    bound, after = bind_operations(migration, state, is_backwards)
    return MigrationPlan(migration, [OperationPlan(each) for each in bound], after)


def _plan_operation(bound: BoundOperation, catalog: Catalog) -> OperationPlan:
    plan = OperationPlan(bound)
    if has_python(bound.operation):
        plan.note = PYTHON
        return plan
    editor = SafeSchemaEditor(catalog.connection, catalog, collect_sql=True)
    catalog.is_looking = True
    try:
        with editor:
            bound.run(editor)
            plan.deferred_from = len(editor.left)
            editor.flush_deferred()
    except _NOT_IN_ADVANCE as exc:
        if sqlstate(exc) in RETRYABLE:
            raise
        plan.note, plan.error = f"its SQL cannot be shown in advance: {first_line(exc)}", exc
    finally:
        catalog.is_looking = False
    plan.steps, plan.refusals = editor.left, editor.refusals + _refuse_removal(bound, catalog)
    return plan


def _refuse_removal(bound: BoundOperation, catalog: Catalog) -> list[Refusal]:
    """Refuse the RemoveField that makemigrations writes, in the middle of a column change."""
    operation = bound.operation
    if not isinstance(operation, RemoveField) or bound.is_backwards:
        return []
    model = bound.before.apps.get_model(bound.app_label, operation.model_name)
    column = model._meta.get_field(operation.name).column
    table = catalog.table(catalog.connection.ops.quote_name(model._meta.db_table))
    if table is None or column is None or not catalog.is_in_change(table, column):
        return []
    return [Refusal("removing-field-in-change", table.name, True, operation.describe())]
