"""Apply migrations beside players: in one transaction where that is quick, else step by step.

# Note [Migrations that leave the transaction]
A migration is one transaction, and recorded in it, unless a statement of it must leave it: to build an index
CONCURRENTLY, or to validate a constraint while players write. Then each operation is a transaction up to its
first such statement; that and all later statements of the operation follow one by one. What is done is
recorded: see Note [Unfinished migrations]. A migration with atomic = False is run in the same way, but
operations that this module does not know, and those in Python, are run as Django does: the next `migrate`
repeats such an operation as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from django.db import DatabaseError, IntegrityError, transaction
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import ProjectState

from ops.command_lines import manage_command
from ops.exceptions import OpsError
from ops.migrate.concurrent_builds import is_done
from ops.migrate.editor import MustLeaveTransaction, SafeSchemaEditor
from ops.migrate.migration_plan import MigrationPlan, plan_migration, plan_without_players
from ops.migrate.operations import BoundOperation, is_schema_only, is_sql_only, refuses_transaction
from ops.migrate.session_settings import then_migrate
from ops.migrate.steps import Place, join_transactions
from ops.migrate.timeouts import MigrationSession
from ops.migrate.unfinished import UnfinishedMigration, list_unfinished, read_unfinished

Callback = Callable[..., None]


class RowsRefused(OpsError):
    """Rows do not fit a constraint or an index that a migration adds."""

    def __init__(self, migration: Migration, error: IntegrityError) -> None:
        message = " ".join(str(error).split())
        super().__init__(
            f"{migration}: rows do not fit: {message}. A constraint that was added NOT VALID stays, and is"
            " checked for new rows.",
            f"Correct the rows. {then_migrate()}",
        )


class NeededByUnfinished(OpsError):
    """A part of a later migration is in the database, and would be lost unnoticed with an earlier one."""


class SafeExecutor(MigrationExecutor):
    """Django's executor, which applies and unapplies each migration safely, and again after a kill."""

    def __init__(
        self, session: MigrationSession, progress_callback: Callback | None, allow_unsafe: bool = False
    ) -> None:
        super().__init__(session.connection, progress_callback)
        self.session = session
        self.allow_unsafe = allow_unsafe

    def apply_migration(
        self, state: ProjectState, migration: Migration, fake: bool = False, fake_initial: bool = False
    ) -> ProjectState:
        """Run a migration forwards."""
        self._notify("apply_start", migration, fake)
        if not fake and fake_initial:
            fake, state = self.detect_soft_applied(state, migration)
        if fake:
            self._record_applied(migration)
            self._forget(migration, is_backwards=False)
        else:
            state = self._run(state, migration, is_backwards=False)
        self._notify("apply_success", migration, fake)
        return state

    def unapply_migration(
        self, state: ProjectState, migration: Migration, fake: bool = False
    ) -> ProjectState:
        """Run a migration backwards."""
        self._notify("unapply_start", migration, fake)
        if fake:
            self._record_unapplied(migration)
            self._forget(migration, is_backwards=True)
        else:
            self._require_no_part_of_later_ones(migration)
            self._run(state, migration, is_backwards=True)
        self._notify("unapply_success", migration, fake)
        return state

    def _require_no_part_of_later_ones(self, migration: Migration) -> None:
        """Raise NeededByUnfinished: what is recorded as done of a later migration would not be there."""
        key = (migration.app_label, migration.name)
        for app, name, is_backwards in list_unfinished(self.connection):
            later, graph = (app, name), self.loader.graph
            if is_backwards or later == key or later not in graph.nodes:
                continue
            if key in graph.forwards_plan(later):
                raise NeededByUnfinished(
                    f"A part of {app}.{name} is in the database, and needs {migration}.",
                    f"Complete it before you go back: {manage_command('migrate', app, name)}",
                )

    def _notify(self, action: str, migration: Migration, fake: bool) -> None:
        if self.progress_callback:
            self.progress_callback(action, migration, fake)

    def _record_applied(self, migration: Migration) -> None:
        for app_label, name in migration.replaces or [(migration.app_label, migration.name)]:
            self.recorder.record_applied(app_label, name)

    def _record_unapplied(self, migration: Migration) -> None:
        for app_label, name in migration.replaces:
            self.recorder.record_unapplied(app_label, name)
        self.recorder.record_unapplied(migration.app_label, migration.name)

    def _forget(self, migration: Migration, is_backwards: bool) -> None:
        """Forget what was done of a migration that is said to be done."""
        if unfinished := read_unfinished(self.connection, migration, is_backwards):
            unfinished.delete()

    def _plan(self, state: ProjectState, migration: Migration, is_backwards: bool) -> MigrationPlan:
        if not self.session.catalog.live:
            return plan_without_players(migration, state, is_backwards)
        return plan_migration(migration, state, self.session.catalog, is_backwards)

    def _run(self, state: ProjectState, migration: Migration, is_backwards: bool) -> ProjectState:
        plan: MigrationPlan = self.session.repeat(lambda: self._plan(state, migration, is_backwards))
        record = self._record_unapplied if is_backwards else self._record_applied
        run = _MigrationRun(self.session, plan, is_backwards, lambda: record(migration), self.allow_unsafe)
        run.run()
        return plan.state_after


class _MigrationRun:
    """One migration in one direction; ``record`` records it as applied or unapplied."""

    def __init__(
        self,
        session: MigrationSession,
        plan: MigrationPlan,
        is_backwards: bool,
        record: Callable[[], Any],
        allow_unsafe: bool,
    ) -> None:
        self.session = session
        self.connection = session.connection
        self.plan = plan
        self.is_backwards = is_backwards
        self.record = record
        self.allow_unsafe = allow_unsafe
        self.operations = [operation.bound for operation in plan.operations]

    def run(self) -> None:
        unfinished = read_unfinished(self.connection, self.plan.migration, self.is_backwards)
        if unfinished is None:
            if not self.allow_unsafe:
                self.plan.require_safe()
            if self.plan.is_atomic and self._run_in_one_transaction():
                return
            unfinished = UnfinishedMigration(self.connection, self.plan.migration, self.is_backwards)
        self._run_step_by_step(unfinished)

    def _editor(self, **options: bool) -> SafeSchemaEditor:
        return SafeSchemaEditor(
            self.connection, self.session.catalog, allow_unsafe=self.allow_unsafe, **options
        )

    def _run_in_one_transaction(self) -> bool:
        """Return False, with nothing done, if that is not possible: it could not be known in advance."""

        def work() -> None:
            with self._editor(is_atomic=True) as editor:
                for operation in self.operations:
                    operation.run(editor)
                editor.flush_deferred()
                self.record()

        try:
            self.session.repeat(work)
        except MustLeaveTransaction:
            return False
        return True

    def _run_step_by_step(self, unfinished: UnfinishedMigration) -> None:
        unfinished.create()
        unfinished.require_same([operation.description for operation in self.operations])
        if unfinished.left:
            self._run_steps(self.operations[len(unfinished.done)], unfinished)
        for operation in self.operations[len(unfinished.done) :]:
            self._run_operation(operation, unfinished)
            self._run_steps(operation, unfinished)
        self.session.repeat(lambda: self._finish(unfinished))

    def _finish(self, unfinished: UnfinishedMigration) -> None:
        with transaction.atomic(using=self.connection.alias):
            self.record()
            unfinished.delete()

    def _run_operation(self, operation: BoundOperation, unfinished: UnfinishedMigration) -> None:
        """Run the operation, and keep the steps that must leave its transaction."""
        is_atomic = bool(self.plan.migration.atomic) or is_schema_only(operation.operation)
        if operation.operation.atomic or (is_atomic and not refuses_transaction(operation.operation)):
            self.session.repeat(lambda: self._run_in_transaction(operation, unfinished))
            return
        is_whole = is_sql_only(operation.operation)
        with self.session.explained(can_go_on=False), self._editor(is_keeping=is_whole) as editor:
            operation.run(editor)
            editor.flush_deferred()
        unfinished.keep(join_transactions(editor.left), operation.description, is_whole)
        unfinished.save()

    def _run_in_transaction(self, operation: BoundOperation, unfinished: UnfinishedMigration) -> None:
        with unfinished.transaction(), self._editor() as editor:
            operation.run(editor)
            editor.flush_deferred()
            unfinished.keep(join_transactions(editor.left), operation.description)

    def _run_steps(self, operation: BoundOperation, unfinished: UnfinishedMigration) -> None:
        """Execute the steps that are left of the operation. Raises RowsRefused."""
        while unfinished.left:
            step = unfinished.left[0]
            try:
                if step.place == Place.NONE:
                    self._run_outside(step.sql, operation, unfinished)
                else:
                    self.session.repeat(partial(self._run_step, step.sql, operation, unfinished))
            except IntegrityError as exc:
                raise RowsRefused(self.plan.migration, exc) from exc

    def _run_step(self, sql: str, operation: BoundOperation, unfinished: UnfinishedMigration) -> None:
        with unfinished.transaction(), self.connection.cursor() as cursor:
            cursor.execute(sql)
            unfinished.finish_step(operation.description)

    def _run_outside(self, sql: str, operation: BoundOperation, unfinished: UnfinishedMigration) -> None:
        """Execute a step that PostgreSQL refuses in a transaction, unless it was done before a kill."""
        was_begun = unfinished.has_begun
        if not (was_begun and is_done(self.connection, sql)):
            # Where it was done, but not by us, it fails.
            unfinished.has_begun = was_begun or not is_done(self.connection, sql)
            unfinished.save()
            try:
                with self.connection.cursor() as cursor:
                    cursor.execute(sql)
            except DatabaseError:
                if not (was_begun and is_done(self.connection, sql)):  # a build that went on after the kill
                    unfinished.has_begun = False
                    with suppress(DatabaseError):
                        unfinished.save()
                    raise
        unfinished.finish_step(operation.description)
        unfinished.save()
