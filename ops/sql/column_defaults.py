"""The defaults of a table's columns, as SQL."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.db.models import Field, Model
from psycopg import sql

from ops.sql.dual_write import OFF_SETTING
from ops.sql.dual_write_defaults import compile_default
from ops.sql.query import fetch_all


def read_defaults(table: str) -> dict[str, str]:
    """Return the SQL of the defaults in the table, by column; none if there is no such table."""
    return dict(
        fetch_all(
            "SELECT attname, pg_get_expr(adbin, adrelid) FROM pg_attrdef JOIN pg_attribute"
            " ON attrelid = adrelid AND attnum = adnum WHERE adrelid = to_regclass(%s)",
            connection.ops.quote_name(table),
        )
    )


class ColumnDefaults:
    """The defaults of the model's columns.

    The default of the old column of a dual write is in a trigger, which fills the column from the new one
    first. Such a column has none in the table, and ``db_default`` in the model.
    """

    def __init__(self, model: type[Model]) -> None:
        self._stored = read_defaults(model._meta.db_table)

    def value(self, field: Field[Any, Any]) -> sql.Composable:
        """Return the value of a column that an INSERT leaves out, if nothing else fills it."""
        text = self._stored.get(str(field.column)) or compile_default(connection, field) or "NULL"
        return sql.SQL(text.replace("%", "%%"))

    def is_in_trigger(self, field: Field[Any, Any]) -> bool:
        return field.has_db_default() and field.column not in self._stored

    def inserted_value(self, field: Field[Any, Any]) -> sql.Composable:
        """Return what an INSERT gives for the column: NULL where a trigger is to fill it."""
        value = self.value(field)
        if not self.is_in_trigger(field):
            return value
        return sql.SQL("CASE current_setting({}, true) WHEN 'off' THEN {} END").format(
            sql.Literal(OFF_SETTING), value
        )
