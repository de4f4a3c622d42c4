"""Backups and restores as text."""

from __future__ import annotations

from pathlib import Path

from ops.backups.restore import RestoreResult
from ops.command_lines import manage_command
from ops.formatting import format_duration, format_size, format_time, pluralize
from ops.models import Backup
from ops.report.table import format_table
from ops.runs.next_steps import RunAction, format_run_command

_HEADER = ["backup", "taken", "size", "rows", "server", "verified"]


def display_path(file: Path) -> str:
    """Return the path relative to the current directory if it is below that."""
    folder = Path.cwd()
    return str(file.relative_to(folder) if file.is_relative_to(folder) else file)


def format_created_backup(backup: Backup) -> list[str]:
    name = display_path(backup.file)
    verify_hint = f"no. To make a verified backup: {manage_command('backup_db', '--verify')}"
    verified = "yes: restored, and all rows counted" if backup.verified_at else verify_hint
    facts = {
        "taken": format_time(backup.started_at),
        "took": format_duration(backup.duration),
        "size": format_size(backup.size),
        "sha256": backup.sha256,
        "server": f"PostgreSQL {backup.server_version}, database {backup.database}",
        "program": f"pg_dump of PostgreSQL {backup.program_version}",
        "rows": f"{backup.rows:,} in {len(backup.counts)} tables: {_largest_tables(backup)}",
        "verified": verified,
    }
    lines = [f"  {label:<9} {value}" for label, value in facts.items()]
    return [
        f"Backup {name}",
        *lines,
        f"To restore it: {manage_command('restore_db', name, '--confirm', backup.database)}",
    ]


def format_backup_list(backups: list[Backup]) -> list[str]:
    if not backups:
        return [f"No backup yet. To make one: {manage_command('backup_db', '--verify')}"]
    return format_table([_HEADER, *map(_backup_row, backups)])


def format_restore(result: RestoreResult, drop_old: bool) -> list[str]:
    backup = result.backup
    lines = [
        f"Dropped {name}, which a killed restore or verification had left." for name in result.dropped_orphans
    ]
    lines.append(
        f"{result.database} was restored from {display_path(backup.file)}: {backup.rows:,} rows in"
        f" {len(backup.counts)} tables, as of {format_time(backup.started_at)}."
    )
    if result.paused:
        lines.append("These runs were active in the backup, and are now paused. To resume them:")
        lines += [f"  {format_run_command(pk, RunAction.RESUME)}" for pk in result.paused]
    if result.cancelled:
        lines.append("These runs were being cancelled in the backup, and are now cancelled. To revert them:")
        lines += [f"  {format_run_command(pk, RunAction.REVERT)}" for pk in result.cancelled]
    if result.unapplied_count:
        lines.append(
            f"Its schema is older than this code by {pluralize(result.unapplied_count, 'migration')}."
            f" Check out the code of that time, or: {manage_command('migrate')}"
        )
    if result.refused_statements:
        lines.append("Not restored, since our role may not do it. As a superuser, execute:")
        lines += [f"  {statement};" for statement in result.refused_statements]
    if result.previous_database and not drop_old:
        lines.append(f"The replaced database is kept as {result.previous_database}. To drop it:")
        lines.append(f"  {manage_command('restore_db', '--drop-old', '--confirm', result.database)}")
    return lines


def format_dropped(names: list[str]) -> list[str]:
    return [f"Dropped {name}." for name in names] or ["There is no old database to drop."]


def _backup_row(backup: Backup) -> list[str]:
    verified = format_time(backup.verified_at) or "no"
    location = "" if backup.file.is_file() else " (not here)"
    return [
        display_path(backup.file) + location,
        format_time(backup.started_at),
        format_size(backup.size),
        f"{backup.rows:,}",
        backup.server_version.split()[0],
        verified,
    ]


def _largest_tables(backup: Backup) -> str:
    """Format the three tables with the most rows."""
    largest = sorted(backup.counts.items(), key=lambda item: -item[1])[:3]
    return ", ".join(f"{name.rpartition('.')[2]} {count:,}" for name, count in largest)
