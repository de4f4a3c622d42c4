"""What stops retire, its way back, and drop: told in words before anything is changed."""

from __future__ import annotations

from typing import Any, NoReturn

from ops.backups.listing import latest_backup
from ops.column_changes.gates import GateClosed
from ops.command_lines import manage_command, psql_command
from ops.exceptions import OpsError
from ops.formatting import format_time, pluralize
from ops.sql.column_difference import (
    correct_statement,
    count_statement,
    keeps_old_values,
    show_statement,
)
from ops.sql.column_followers import find_dependents, find_publications
from ops.sql.column_names import column_exists
from ops.sql.dual_write import OFF_SETTING, DualWrite
from ops.sql.query import fetch_all
from ops.sql.retired_column import count_empty, count_lost, set_statement
from ops.sql.watched_column import WatchedColumn


class ColumnInUse(OpsError):
    """Something else in the database depends on the column."""


class NoWayBack(OpsError):
    """A step cannot be taken back."""


def require_no_dependents(schema_editor: Any, column: WatchedColumn, *, is_key: bool = False) -> None:
    """Raise ColumnInUse if something depends on the old column that cannot go with its name or its drop."""
    if found := find_dependents(schema_editor, column, is_key=is_key):
        raise ColumnInUse(
            f"{column.table}.{column.old} is used by {', '.join(found)}.",
            "Drop what is not needed any more. Drop the rest too, and create it again after this migration."
            f" Then: {manage_command('migrate')}",
        )


def require_not_published(schema_editor: Any, column: WatchedColumn) -> None:
    """Raise ColumnInUse if a publication names the old column: its subscribers know no other name."""
    if found := find_publications(schema_editor, column.table, column.old):
        raise ColumnInUse(
            f"{column.table}.{column.old} is in the column list or the row filter of"
            f" the {'publication' if len(found) == 1 else 'publications'} {', '.join(found)}.",
            f"Take it out (ALTER PUBLICATION ... SET TABLE ...). Then: {manage_command('migrate')}",
        )


def require_free_name(schema_editor: Any, table: str, name: str) -> None:
    """Raise ColumnInUse if the table has a column of that name already."""
    if column_exists(schema_editor, table, name):
        raise ColumnInUse(
            f"The table {table} has a column {name} already.",
            "It holds the old values if the migration of retire was applied and then forgotten by --fake:"
            f" record it again, and do not drop it: {manage_command('migrate', 'APP', 'NAME', '--fake')}."
            f" Otherwise rename it. Then: {manage_command('migrate')}",
        )


def require_agreement(schema_editor: Any, dual_write: DualWrite) -> None:
    """Raise GateClosed if rows differ: of triggers that were off, or of code that wrote two values.

    Nothing is locked meanwhile, so it may take longer than a migration may keep players waiting.
    """
    using = schema_editor.connection
    [(before, _)] = fetch_all(
        "SELECT current_setting('statement_timeout'), set_config('statement_timeout', '0', true)", using=using
    )
    [(count,)] = fetch_all(count_statement(dual_write), using=using)
    fetch_all("SELECT set_config('statement_timeout', %s, true)", before, using=using)
    if count:
        raise GateClosed(
            f"{dual_write.change}: {dual_write.old} and {dual_write.new} differ in"
            f" {pluralize(count, 'row')} of {dual_write.table}.",
            f"To see them: {psql_command(show_statement(dual_write))}. To take over the values of"
            f" {dual_write.old if keeps_old_values(dual_write) else dual_write.new}:"
            f" {psql_command(f'SET {OFF_SETTING} = off', correct_statement(dual_write))}."
            f" Then: {manage_command('migrate')}",
        )


def require_values(schema_editor: Any, column: WatchedColumn, whose: str) -> None:
    """Raise NoWayBack if rows have no value in the old column, which may not be empty after the way back.

    ``whose`` says which rows those are.
    """
    if count := count_empty(schema_editor, column.table, column.old):
        fill = set_statement(schema_editor, column.table, column.old)
        raise NoWayBack(
            f"{column.table}.{column.old} is empty in {pluralize(count, 'row')}, {whose}; and the column may"
            " not be empty.",
            f"Give them one: {psql_command(f'SET {OFF_SETTING} = off', fill)}",
        )


def require_no_loss(schema_editor: Any, dual_write: DualWrite) -> None:
    """Raise NoWayBack if the old column is empty where the new one has a value that does not fit it."""
    if count := count_lost(schema_editor, dual_write):
        values = f"a value of {dual_write.new} that does not fit {dual_write.old}"
        raise NoWayBack(
            f"{pluralize(count, 'row')} of {dual_write.table} {'has' if count == 1 else 'have'} {values}.",
            f"Keep the new column: {manage_command('column_change', dual_write.change, 'next')}",
        )


def refuse_drop_reverse(column: WatchedColumn) -> NoReturn:
    """Raise NoWayBack, which names the newest verified backup."""
    refuse_restored_column(f"{column.table}.{column.old}")


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
