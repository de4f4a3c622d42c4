"""Whether a column will refuse a new value, asked of the server: the value, maybe huge, stays there."""

from __future__ import annotations

import re
from typing import Any

from django.db import connection
from django.db.models import Field, Func, TextField

_SIZED_TYPE = re.compile(r"(char|character varying|varchar|numeric)\((\d+)(?:, *(\d+))?\)(\[\])*")
# Spaces at the end are cut off where they are too many.
_TOO_LONG_SQL = "char_length(rtrim({value}, ' ')) > {size}"
_ANY_ITEM_SQL = "EXISTS (SELECT FROM unnest({value}) AS item WHERE {wrong})"
_TOO_LARGE_SQL = "{value} < 'Infinity' AND abs(round({value}, {places})) >= 1e{room}"


class RejectionReason(Func):
    """``null``, ``long`` or ``large`` where the column refuses the value, else NULL."""

    output_field = TextField()

    def __init__(self, value: Any, field: Field[Any, Any]) -> None:
        super().__init__(value)
        self.wrong = rejection_conditions(field)

    def as_sql(self, compiler: Any, connection: Any, **extra: Any) -> Any:  # type: ignore[override]
        text, params = compiler.compile(self.get_source_expressions()[0])
        found, given = "", []
        for reason, condition in self.wrong.items():
            found += f" WHEN {condition.format(value=f'({text})')} THEN '{reason}'"
            given += [*params] * condition.count("{value}")
        return f"CASE{found} END", given


def rejection_conditions(field: Field[Any, Any]) -> dict[str, str]:
    """By reason, the SQL conditions on ``{value}`` under which the column refuses it."""
    wrong = {} if field.null else {"null": "{value} IS NULL"}
    sized = _SIZED_TYPE.fullmatch(field.db_type(connection) or "")
    if sized is None:
        return wrong
    kind, size, places, is_array = sized.groups()
    if kind == "numeric":
        if not is_array:
            room = int(size) - int(places or 0)
            wrong["large"] = _TOO_LARGE_SQL.replace("{places}", places or "0").replace("{room}", str(room))
        return wrong
    too_long = _TOO_LONG_SQL.replace("{size}", size)
    item = _ANY_ITEM_SQL.replace("{wrong}", too_long.replace("{value}", "item"))
    return {**wrong, "long": item if is_array else too_long}


def column_size(field: Field[Any, Any]) -> tuple[int, int]:
    """The size of the column's type, and its places: ``(6, 2)`` of ``numeric(6,2)``."""
    sized = _SIZED_TYPE.fullmatch(field.db_type(connection) or "")
    return (int(sized[2]), int(sized[3] or 0)) if sized else (0, 0)
