"""The columns that are written with others: both of a column change, while both are in use."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Model

from ops.column_changes.declaration import ColumnChange
from ops.column_changes.registry import list_changes


def find_followers(model: type[Model], columns: Collection[str]) -> dict[str, str | None]:
    """Return the fields that follow one of the columns, and which; None where a trigger computes the value.

    A field of which there are cells itself follows none.
    """
    followers: dict[str, str | None] = {}
    for change in list_changes():
        if change.model is not model or not issubclass(change, ColumnChange):
            continue
        old, new = change.fields()
        if not {old, new} <= change.field_names():
            continue  # one of them has left the model
        for leading, follower, is_copy in (
            (old, new, change.is_copy()),
            (new, old, change.is_copied_back()),
        ):
            if leading in columns and follower not in columns:
                followers[follower] = leading if is_copy else None
    return followers
