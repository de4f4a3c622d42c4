"""Declare a column change: ``from ops.column_changes import ColumnChange, register_change``."""

from ops.column_changes.declaration import ColumnChange, ColumnRemoval
from ops.column_changes.readers import read_column, read_column_at
from ops.column_changes.registry import register_change

__all__ = ["ColumnChange", "ColumnRemoval", "read_column", "read_column_at", "register_change"]
