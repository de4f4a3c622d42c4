"""Migrations: which are to be applied, whether they are safe, and whether the schema is what it should be."""

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
    now = context.migration_status
    if now.unknown:
        names = tuple(".".join(key) for key in now.unknown)
        todo = ("Deploy the code that the database was migrated with, or a newer one.",)
        return Finding(Severity.RED, "The database is ahead of this code.", names, todo)
    if now.conflicts:
        names = tuple(f"{app}: {', '.join(found)}" for app, found in now.conflicts.items())
        todo = (manage_command("makemigrations", "--merge"),)
        return Finding(Severity.RED, "There is more than one last migration.", names, todo)
    if now.undeclared:
        told = tuple(f"{app}: {what}" for app, found in now.undeclared.items() for what in found)
        todo = (manage_command("makemigrations"),)
        return Finding(Severity.RED, "Models were changed without a migration.", told, todo)
    if not now.unapplied:
        return Finding(Severity.GREEN, f"All {len(now.applied)} are applied.")
    found = f"{pluralize(len(now.unapplied), 'migration')} to apply."
    names = tuple(map(migration_label, now.unapplied))
    return Finding(Severity.GREEN, found, names, (f"When all is ready: {manage_command('migrate')}",))


def check_unsafe_migrations(context: PreflightContext) -> Finding:
    waiting = context.migration_status.unapplied
    if not waiting:
        return Finding(Severity.GREEN, "No migration, so nothing that locks or breaks.")
    try:
        found = [(m, each) for m in waiting for each in _lint_unapplied(context.migration_status, m)]
    except LinterUnavailable as exc:
        return Finding(Severity.YELLOW, str(exc))
    if not found:
        return Finding(Severity.GREEN, "They lock nothing for long, and break nothing that runs.")
    details = tuple(line for migration, each in found for line in _format_step(migration, each))
    severity = worst_severity(*(each.severity for _, each in found))
    todo = ("Change them, or plan a downtime and stop the site and the workers.",)
    count = pluralize(len(found), "step")
    return Finding(severity, f"{count} not safe while players play.", details, todo)


def check_schema_drift(context: PreflightContext) -> Finding:
    try:
        found = detect_drift(context.migration_status)
    except (MaintenanceFailed, SessionRequired) as exc:
        first, *rest = str(exc).splitlines()
        return Finding(Severity.YELLOW, first, tuple(rest))
    if not found:
        return Finding(Severity.GREEN, "The schema is what its applied migrations make.")
    told = [difference.summary for difference in found]
    more = [f"and {len(told) - _MAX_LISTED} more"] if len(told) > _MAX_LISTED else []
    harmless = all(difference.expected is None for difference in found)
    return Finding(
        Severity.YELLOW if harmless else Severity.RED,
        f"{pluralize(len(found), 'difference')} from what the migrations make.",
        (*told[:_MAX_LISTED], *more),
        (f"To see the definitions: {manage_command('schema_drift')}",),
    )


def _lint_unapplied(now: MigrationStatus, migration: Migration) -> list[UnsafeStep]:
    before = now.loader.project_state((migration.app_label, migration.name), at_end=False)
    return lint_migration(migration, before)


def _format_step(migration: Migration, each: UnsafeStep) -> tuple[str, ...]:
    return (
        f"{each.severity} {migration_label(migration)}: {each.description}: {each.reason}",
        f"  safe: {each.safe_alternative}",
    )
