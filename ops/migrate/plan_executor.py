"""The executor of `migrate --plan`, which plans each migration as it will be run."""

from __future__ import annotations

from typing import Any

from django.db.migrations import Migration
from django.db.migrations.operations.base import Operation

from ops.migrate.migration_plan import MigrationPlan, OperationPlan, plan_migration
from ops.migrate.safe_migrate import SafeExecutor
from ops.migrate.unfinished import read_unfinished


class PlanExecutor(SafeExecutor):
    """Remember the plan of each operation of the migrations that would be applied or unapplied."""

    plans: list[MigrationPlan]

    def migration_plan(self, targets: Any, clean_start: bool = False) -> list[tuple[Migration, bool]]:
        """Return Django's plan, and keep ours in ``plans``."""
        plan: list[tuple[Migration, bool]] = super().migration_plan(targets, clean_start)
        if not clean_start:
            self.plans = self._plan_all(plan)
        return plan

    def find_plan(self, operation: Operation) -> OperationPlan | None:
        return next(
            (each for plan in self.plans for each in plan.operations if each.bound.operation is operation),
            None,
        )

    def _plan_all(self, plan: list[tuple[Migration, bool]]) -> list[MigrationPlan]:
        plans: list[MigrationPlan] = []
        for migration, is_backwards in plan:
            if is_backwards or not plans:
                state = self.loader.project_state((migration.app_label, migration.name), at_end=False)
            else:
                state = plans[-1].state_after
            plans.append(plan_migration(migration, state, self.session.catalog, is_backwards))
            self._leave_out_what_is_done(plans[-1], is_backwards)
        return plans

    def _leave_out_what_is_done(self, plan: MigrationPlan, is_backwards: bool) -> None:
        unfinished = read_unfinished(self.connection, plan.migration, is_backwards)
        if unfinished is None:
            return
        for number, operation in enumerate(plan.operations):
            if number < len(unfinished.done):
                operation.steps, operation.refusals, operation.note = [], [], "done already"
            elif number == len(unfinished.done) and unfinished.left:
                operation.steps, operation.refusals = unfinished.left, []
                operation.note = "the rest is done already"
