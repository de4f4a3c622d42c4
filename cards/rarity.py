"""Which field has the rarity of a card, while rarity changes to rarity_v2."""

from __future__ import annotations

from datetime import datetime

from ops.column_changes import read_column, read_column_at
from ops.column_changes.registry import get_replacement

# By name: the module of the declaration imports the readers.
_CHANGE = "rarity_v2"


def rarity_field() -> str:
    """Return the name of the field to read now."""
    return read_column(get_replacement(_CHANGE))


def rarity_field_at(moment: datetime) -> str:
    """Return the name of the field for an operation whose ``as_of`` is the moment."""
    return read_column_at(get_replacement(_CHANGE), moment)
