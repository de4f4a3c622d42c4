"""Backups and restores in words."""

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
    """As one would type it from here."""
    here = Path.cwd()
    return str(file.relative_to(here) if file.is_relative_to(here) else file)


def format_created_backup(backup: Backup) -> list[str]:
    name = display_path(backup.file)
    verified = "yes: restored, and all rows counted" if backup.verified_at else "no; next time: --verify"
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
    lines = [f"  {fact:<9} {told}" for fact, told in facts.items()]
    return [
        f"Backup {name}",
        *lines,
        f"To restore it: {manage_command('restore_db', name, '--confirm', backup.database)}",
    ]


def format_backup_list(found: list[Backup]) -> list[str]:
    if not found:
        return [f"No backup yet. To make one: {manage_command('backup_db', '--verify')}"]
    return format_table([_HEADER, *map(_backup_row, found)])


def format_restore(done: RestoreResult, drop_old: bool) -> list[str]:
    backup = done.backup
    lines = [
        f"Dropped {name}, which a killed restore or verification had left." for name in done.dropped_orphans
    ]
    lines.append(
        f"{done.database} is now as {display_path(backup.file)} has it: {backup.rows:,} rows in"
        f" {len(backup.counts)} tables, as of {format_time(backup.started_at)}."
    )
    if done.paused:
        lines.append("Paused, since they were under way then. To go on:")
        lines += [f"  {format_run_command(number, RunAction.RESUME)}" for number in done.paused]
    if done.cancelled:
        lines.append("Cancelled, as was asked then. To take back what was changed:")
        lines += [f"  {format_run_command(number, RunAction.REVERT)}" for number in done.cancelled]
    if done.unapplied_count:
        lines.append(
            f"Its schema is older than this code by {pluralize(done.unapplied_count, 'migration')}."
            f" Check out the code of that time, or: {manage_command('migrate')}"
        )
    if done.refused_statements:
        lines.append("What it has not of what it was, since our role may not give it that. Whoever may:")
        lines += [f"  {statement};" for statement in done.refused_statements]
    if done.previous_database and not drop_old:
        lines.append(f"What it was before is kept as {done.previous_database}. To drop it:")
        lines.append(f"  {manage_command('restore_db', '--drop-old', '--confirm', done.database)}")
    return lines


def format_dropped(names: list[str]) -> list[str]:
    return [f"Dropped {name}." for name in names] or [
        "No restore has kept a database: there is nothing to drop."
    ]


def _backup_row(backup: Backup) -> list[str]:
    verified = format_time(backup.verified_at) or "no"
    gone = "" if backup.file.is_file() else " (not here)"
    return [
        display_path(backup.file) + gone,
        format_time(backup.started_at),
        format_size(backup.size),
        f"{backup.rows:,}",
        backup.server_version.split()[0],
        verified,
    ]


def _largest_tables(backup: Backup) -> str:
    """The tables with the most rows."""
    most = sorted(backup.counts.items(), key=lambda told: -told[1])[:3]
    return ", ".join(f"{name.rpartition('.')[2]} {count:,}" for name, count in most)
