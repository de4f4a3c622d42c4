"""What stops the move of a primary key, and its way back: told in words before anything is changed."""

from __future__ import annotations

from typing import Any

from ops.column_changes.obstructions import ColumnInUse, NoWayBack, require_no_loss
from ops.command_lines import manage_command
from ops.sql.dual_write import DualWrite
from ops.sql.integers import max_integer
from ops.sql.key_move import find_unique_index, list_unprepared, read_column_type
from ops.sql.key_sequence import last_value, read_key_sequence


def require_prepared(schema_editor: Any, key: DualWrite) -> None:
    """Raise ColumnInUse if the new column lacks what the primary key needs."""
    using = schema_editor.connection
    for each in list_unprepared(using, key):
        raise ColumnInUse(
            f"The foreign key {each.name} of {each.table} refers to {key.table}.{key.old}, and no valid one"
            f" of the same columns refers to {key.table}.{key.new}.",
            f"Drop it. Then: {manage_command('migrate')}",
        )
    if find_unique_index(using, key.table, key.new) is None:
        raise ColumnInUse(
            f"{key.table}.{key.new} has no unique index that can be the primary key's.",
            "Take the steps back to constrain, and take it again:"
            f" {manage_command('column_change', key.change, 'back')}",
        )


def require_fitting_keys(schema_editor: Any, key: DualWrite) -> None:
    """Raise NoWayBack if there are keys, or if there will be, that do not fit the retired column."""
    using = schema_editor.connection
    most = max_integer(read_column_type(using, key.table, key.old))
    require_no_loss(schema_editor, key)
    sequence = read_key_sequence(using, key.table, key.new)
    if sequence and (value := last_value(using, sequence)) > most:
        raise NoWayBack(
            f"The sequence {sequence.name} of {key.table}.{key.new} has given {value}, and {key.old} ends at"
            f" {most}: no row could be added.",
            f"Keep the wide key: {manage_command('column_change', key.change, 'next')}",
        )
