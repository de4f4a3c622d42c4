"""Declare a column change: ``from ops.column_changes import ColumnChange, register_change``."""

from ops.column_changes.declaration import ColumnChange
from ops.column_changes.read_column import read_column
from ops.column_changes.registry import register_change

__all__ = ["ColumnChange", "read_column", "register_change"]
