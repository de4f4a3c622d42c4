"""What stops retire, its way back, and drop: told in words before anything is changed."""

from __future__ import annotations

from typing import Any, NoReturn

from ops.backups.listing import latest_backup
from ops.command_lines import manage_command, psql_command
from ops.exceptions import OpsError
from ops.formatting import format_time, pluralize
from ops.sql.column_followers import find_dependents, find_publications
from ops.sql.column_names import column_exists
from ops.sql.dual_write import OFF_SETTING, DualWrite
from ops.sql.retired_column import count_empty, set_statement


class ColumnInUse(OpsError):
    """Something else in the database depends on the column."""


class NoWayBack(OpsError):
    """A step cannot be taken back."""


def require_no_dependents(schema_editor: Any, dual_write: DualWrite) -> None:
    """Raise ColumnInUse if something depends on the old column that cannot go with its name or its drop."""
    column = f"{dual_write.table}.{dual_write.old}"
    if found := find_dependents(schema_editor, dual_write):
        raise ColumnInUse(
            f"{column} is used by {', '.join(found)}.",
            "Drop what is not needed any more. Drop the rest too, and create it again after this migration."
            f" Then: {manage_command('migrate')}",
        )


def require_not_published(schema_editor: Any, dual_write: DualWrite) -> None:
    """Raise ColumnInUse if a publication names the old column: its subscribers know no other name."""
    if found := find_publications(schema_editor, dual_write.table, dual_write.old):
        raise ColumnInUse(
            f"{dual_write.table}.{dual_write.old} is in the column list or the row filter of"
            f" the {'publication' if len(found) == 1 else 'publications'} {', '.join(found)}.",
            f"Take it out (ALTER PUBLICATION ... SET TABLE ...). Then: {manage_command('migrate')}",
        )


def require_free_name(schema_editor: Any, table: str, name: str) -> None:
    """Raise ColumnInUse if the table has a column of that name already."""
    if column_exists(schema_editor, table, name):
        raise ColumnInUse(
            f"The table {table} has a column {name} already.",
            f"Rename it or drop it. Then: {manage_command('migrate')}",
        )


def require_old_values(schema_editor: Any, dual_write: DualWrite) -> None:
    """Raise NoWayBack if rows have no value in the old column, which may not be empty after the way back."""
    if count := count_empty(schema_editor, dual_write.table, dual_write.old):
        fill = set_statement(schema_editor, dual_write.table, dual_write.old)
        raise NoWayBack(
            f"{dual_write.table}.{dual_write.old} is empty in {pluralize(count, 'row')}, whose"
            f" {dual_write.new} has no old value; and the column may not be empty.",
            f"Give them one: {psql_command(f'SET {OFF_SETTING} = off', fill)}",
        )


def refuse_drop_reverse(dual_write: DualWrite) -> NoReturn:
    """Raise NoWayBack, which names the newest verified backup."""
    refuse_restored_column(f"{dual_write.table}.{dual_write.old}")


def refuse_restored_column(column: str) -> NoReturn:
    """Raise NoWayBack for a column that was dropped; it names the newest verified backup."""
    reason = f"{column} was dropped. It comes back only by restoring a backup."
    backup = latest_backup(verified=True)
    if backup is None:
        raise NoWayBack(reason, f"There is no verified one. To see all: {manage_command('backups')}")
    raise NoWayBack(
        reason,
        f"The newest verified one has the data of {format_time(backup.started_at)}:"
        f" {manage_command('restore_db', backup.path)}",
    )
