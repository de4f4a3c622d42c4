"""ORM expressions over one row, as SQL for triggers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import FieldError
from django.db import Error, connection, transaction
from django.db.models import Expression, Field, Model
from django.db.models.expressions import Col
from django.db.models.sql import Query
from psycopg import ClientCursor, sql

from ops.exceptions import OpsError
from ops.formatting import first_line
from ops.sql.query import fetch_all

# Their values are not those of the row: they differ between the write and every later look at it.
_CLOCKS = {
    *("now", "transaction_timestamp", "statement_timestamp", "localtime", "localtimestamp"),
    *("current_timestamp", "current_date", "current_time"),
}
_VOLATILE_SQL = "SELECT proname FROM pg_proc WHERE proname = ANY(%s) AND provolatile = 'v' ORDER BY proname"


class DualWriteRefused(OpsError, ValueError):
    """Triggers cannot keep the two columns equal."""


class RowExpression:
    """An expression over a trigger's row NEW.

    ``template`` is its SQL, with ``{old}`` and ``{new}`` for the two columns of a dual write. ``fields`` are
    those that it reads. Raises DualWriteRefused for what a trigger cannot compute from the row alone.
    """

    def __init__(
        self, model: type[Model], expression: Expression, old: Field[Any, Any], new: Field[Any, Any]
    ) -> None:
        query = Query(model)
        alias = query.get_initial_alias()
        try:
            resolved = expression.resolve_expression(query, allow_joins=False)
        except FieldError as exc:
            raise DualWriteRefused(f"{expression} is no expression over one row: {exc}") from exc
        if resolved.contains_aggregate or resolved.contains_over_clause or _has_subquery(resolved):
            raise DualWriteRefused(
                f"{expression} is no expression over one row:"
                " aggregates, window functions and subqueries are refused"
            )
        self.expression, self.old, self.new = expression, old, new
        self.fields = {node.target for node in _flatten(resolved) if isinstance(node, Col)} | {old, new}
        for field in self.fields:
            if field.generated:
                raise DualWriteRefused(
                    f"The column {field.column} is generated: a trigger has no value of it"
                )
        text, params = query.get_compiler(connection=connection).compile(
            resolved.relabeled_clone({alias: "new"})
        )
        self._require_stable(text)
        self.template = self._format_template(text, params)

    def _require_stable(self, text: str) -> None:
        words = set(re.findall(r"[a-z_][a-z_0-9]*", re.sub(r'"[^"]*"', "", text).lower()))
        called = {name.lower() for name in re.findall(r"([A-Za-z_][A-Za-z_0-9]*)\s*\(", text)}
        if "select" in words:
            raise DualWriteRefused(f"{self.expression} has a subquery, which a trigger cannot use")
        changing = sorted(words & _CLOCKS) or [name for (name,) in fetch_all(_VOLATILE_SQL, sorted(called))]
        if changing:
            raise DualWriteRefused(
                f"{self.expression} calls {changing[0]}, which gives another value each time:"
                " the two columns would never be compared with the same value"
            )

    def _format_template(self, text: str, params: Any) -> str:
        """Put the parameters into the SQL. Names are left out meanwhile: they may have ``%`` and braces."""
        columns = sorted({str(field.column) for field in self.fields})
        for number, column in enumerate(columns):
            text = text.replace(f'"new".{connection.ops.quote_name(column)}', f"\0{number}\0")
        with connection.cursor():  # connects
            text = ClientCursor(connection.connection).mogrify(text, params)
        text = _escape(text)
        names = {str(self.old.column): "{old}", str(self.new.column): "{new}"}
        for number, column in enumerate(columns):
            quoted = sql.SQL("NEW.{}").format(sql.Identifier(column)).as_string()
            text = text.replace(f"\0{number}\0", names.get(column) or _escape(quoted))
        return text

    def require_comparable_with(self, target: Field[Any, Any]) -> None:
        """Have the server parse what the triggers compare, over no rows. Raises DualWriteRefused."""
        columns = {
            field: sql.SQL("NEW.{}").format(sql.Identifier(str(field.column))) for field in self.fields
        }
        row = sql.SQL(", ").join(
            sql.SQL("NULL::{} AS {}").format(
                sql.SQL(field.db_type(connection) or "text"), sql.Identifier(str(field.column))
            )
            for field in self.fields
        )
        value = sql.SQL(self.template).format(old=columns[self.old], new=columns[self.new])
        pairs = [(column, column) for column in columns.values()] + [(value, columns[target])]
        compared = sql.SQL(", ").join(sql.SQL("({}) IS DISTINCT FROM {}").format(*pair) for pair in pairs)
        statement = sql.SQL("SELECT {} FROM (SELECT {}) AS new WHERE false").format(compared, row)
        try:
            with transaction.atomic():
                fetch_all(statement.as_string())
        except Error as exc:
            raise DualWriteRefused(
                f"PostgreSQL cannot compute {self.expression}: {first_line(exc)}."
            ) from exc


def _escape(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _flatten(expression: Any) -> Iterator[Any]:
    yield expression
    for source in expression.get_source_expressions():
        if source is not None:
            yield from _flatten(source)


def _has_subquery(expression: Any) -> bool:
    return any(hasattr(node, "query") or getattr(node, "subquery", False) for node in _flatten(expression))
