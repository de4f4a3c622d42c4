"""Checks of the migrations: which are unapplied, whether they are safe, and whether the schema drifted."""

from __future__ import annotations

from django.db.migrations import Migration

from ops.backups.errors import MaintenanceFailed
from ops.command_lines import manage_command
from ops.formatting import pluralize
from ops.migration_status import MigrationStatus, migration_label
from ops.preflight.finding import Finding, PreflightContext, Severity, worst_severity
from ops.preflight.squawk import LinterUnavailable
from ops.preflight.unsafe import UnsafeStep, lint_migration
from ops.schema.drift import detect_drift
from ops.session import SessionRequired

_MAX_LISTED = 12


def check_unapplied_migrations(context: PreflightContext) -> Finding:
    status = context.migration_status
    if status.unknown:
        names = tuple(".".join(key) for key in status.unknown)
        todo = ("Deploy the code that the database was migrated with, or a newer one.",)
        return Finding(Severity.RED, "The database is ahead of this code.", names, todo)
    if status.conflicts:
        names = tuple(f"{app}: {', '.join(leaves)}" for app, leaves in status.conflicts.items())
        todo = (manage_command("makemigrations", "--merge"),)
        return Finding(Severity.RED, "There is more than one last migration.", names, todo)
    if status.model_changes:
        changes = tuple(
            f"{app}: {change}"
            for app, descriptions in status.model_changes.items()
            for change in descriptions
        )
        todo = (manage_command("makemigrations"),)
        return Finding(Severity.RED, "Models were changed without a migration.", changes, todo)
    if not status.unapplied:
        return Finding(Severity.GREEN, f"All {len(status.applied)} are applied.")
    message = f"{pluralize(len(status.unapplied), 'migration')} to apply."
    names = tuple(map(migration_label, status.unapplied))
    return Finding(Severity.GREEN, message, names, (f"When all is ready: {manage_command('migrate')}",))


def check_unsafe_migrations(context: PreflightContext) -> Finding:
    status = context.migration_status
    if not status.unapplied:
        return Finding(Severity.GREEN, "There is no migration to check.")
    try:
        steps = [(m, step) for m in status.unapplied for step in _lint_unapplied(status, m)]
    except LinterUnavailable as exc:
        return Finding(Severity.YELLOW, str(exc))
    if not steps:
        return Finding(Severity.GREEN, "They take no long lock, and running code keeps working.")
    details = tuple(line for migration, step in steps for line in _format_step(migration, step))
    severity = worst_severity(*(step.severity for _, step in steps))
    todo = ("Change them, or plan a downtime and stop the site and the workers.",)
    message = f"{pluralize(len(steps), 'step')} not safe while players play."
    return Finding(severity, message, details, todo)


def check_schema_drift(context: PreflightContext) -> Finding:
    try:
        differences = detect_drift(context.migration_status)
    except (MaintenanceFailed, SessionRequired) as exc:
        first, *rest = str(exc).splitlines()
        return Finding(Severity.YELLOW, first, tuple(rest))
    if not differences:
        return Finding(Severity.GREEN, "The schema matches the applied migrations.")
    summaries = [difference.summary for difference in differences]
    more = [f"and {len(summaries) - _MAX_LISTED} more"] if len(summaries) > _MAX_LISTED else []
    harmless = all(difference.expected is None for difference in differences)
    return Finding(
        Severity.YELLOW if harmless else Severity.RED,
        f"{pluralize(len(differences), 'difference')} from the applied migrations.",
        (*summaries[:_MAX_LISTED], *more),
        (f"To see the definitions: {manage_command('schema_drift')}",),
    )


def _lint_unapplied(status: MigrationStatus, migration: Migration) -> list[UnsafeStep]:
    before = status.loader.project_state((migration.app_label, migration.name), at_end=False)
    return lint_migration(migration, before)


def _format_step(migration: Migration, step: UnsafeStep) -> tuple[str, ...]:
    return (
        f"{step.severity} {migration_label(migration)}: {step.description}: {step.reason}",
        f"  safe: {step.safe_alternative}",
    )
