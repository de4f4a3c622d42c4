"""Whether a column will reject a new value, checked by the server: a large value is not transferred."""

from __future__ import annotations

import re
from typing import Any

from django.db import connection
from django.db.models import Field, Func, TextField

_SIZED_TYPE = re.compile(r"(char|character varying|varchar|numeric)\((\d+)(?:, *(\d+))?\)(\[\])*")
# The assignment to a column cuts off trailing spaces beyond its length.
_TOO_LONG_SQL = "char_length(rtrim({value}, ' ')) > {size}"
_ANY_ITEM_SQL = "EXISTS (SELECT FROM unnest({value}) AS item WHERE {condition})"
_TOO_LARGE_SQL = "{value} < 'Infinity' AND abs(round({value}, {places})) >= 1e{digits}"


class RejectionReason(Func):
    """``null``, ``long`` or ``large`` where the column rejects the value, else NULL."""

    output_field = TextField()

    def __init__(self, value: Any, field: Field[Any, Any]) -> None:
        super().__init__(value)
        self.conditions = rejection_conditions(field)

    def as_sql(self, compiler: Any, connection: Any, **extra: Any) -> Any:  # type: ignore[override]
        text, params = compiler.compile(self.get_source_expressions()[0])
        branches, branch_params = "", []
        for reason, condition in self.conditions.items():
            branches += f" WHEN {condition.format(value=f'({text})')} THEN '{reason}'"
            branch_params += [*params] * condition.count("{value}")
        return f"CASE{branches} END", branch_params


def rejection_conditions(field: Field[Any, Any]) -> dict[str, str]:
    """Return, by reason, the SQL condition on ``{value}`` under which the column rejects it."""
    conditions = {} if field.null else {"null": "{value} IS NULL"}
    match = _SIZED_TYPE.fullmatch(field.db_type(connection) or "")
    if match is None:
        return conditions
    kind, size, places, is_array = match.groups()
    if kind == "numeric":
        if not is_array:
            digits = int(size) - int(places or 0)
            too_large = _TOO_LARGE_SQL.replace("{places}", places or "0").replace("{digits}", str(digits))
            conditions["large"] = too_large
        return conditions
    too_long = _TOO_LONG_SQL.replace("{size}", size)
    item = _ANY_ITEM_SQL.replace("{condition}", too_long.replace("{value}", "item"))
    return {**conditions, "long": item if is_array else too_long}


def column_size(field: Field[Any, Any]) -> tuple[int, int]:
    """Return the size of the column's type and its decimal places: ``(6, 2)`` of ``numeric(6,2)``."""
    match = _SIZED_TYPE.fullmatch(field.db_type(connection) or "")
    return (int(match[2]), int(match[3] or 0)) if match else (0, 0)
