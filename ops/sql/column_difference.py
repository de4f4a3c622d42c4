"""The rows whose two columns a dual write would have kept equal, and did not."""

from __future__ import annotations

from django.db import connection
from psycopg import sql

from ops.sql.dual_write import DualWrite, KeyCopy


def count_statement(dual_write: DualWrite) -> str:
    """Return the SELECT that counts the rows whose new value is not that of the old one, nor the reverse.

    A new value of NULL is none: who sets it leaves the old one as it was. So does a new value that has no
    old one, where the dual write keeps that.
    """
    return f"SELECT count(*) {_from_and_where(dual_write)}"


def show_statement(dual_write: DualWrite, limit: int = 20) -> str:
    """Return a SELECT of the first such rows, for a person."""
    return f"SELECT * {_from_and_where(dual_write)} LIMIT {limit}"


def correct_statement(dual_write: DualWrite) -> str:
    """Return an UPDATE that takes over the new values, or where ``keeps_old_values`` the old ones."""
    column, value = dual_write.old, dual_write.to_old
    if value is None or _is_copy(dual_write):
        column, value = dual_write.new, dual_write.to_new
    condition = f"{_condition(dual_write)} AND {value} IS NOT NULL"
    template = f"UPDATE {{table}} AS new SET {{column}} = {value} WHERE {condition}"  # noqa: S608
    return _format(dual_write, template, column=sql.Identifier(column))


def keeps_old_values(dual_write: DualWrite) -> bool:
    """Whether the old values are right: there is no way back, or they are the keys of the rows."""
    return dual_write.to_old is None or _is_copy(dual_write)


def _is_copy(dual_write: DualWrite) -> bool:
    """Whether the new column is a copy of the key, and has no values of its own."""
    return isinstance(dual_write, KeyCopy) and not dual_write.retired


def _from_and_where(dual_write: DualWrite) -> str:
    return _format(dual_write, f"FROM {{table}} AS new WHERE {_condition(dual_write)}")


def _condition(dual_write: DualWrite) -> str:
    differs = f"{{new}} IS NOT NULL AND {{new}} IS DISTINCT FROM {dual_write.to_new}"
    if _is_copy(dual_write):
        return differs
    if dual_write.to_old is None:
        return f"{differs} AND false" if dual_write.keeps else differs
    differs += f" AND {{old}} IS DISTINCT FROM {dual_write.to_old}"
    return f"{differs} AND {dual_write.to_old} IS NOT NULL" if dual_write.keeps else differs


def _format(dual_write: DualWrite, template: str, **parts: sql.Composable) -> str:
    """Fill in the names. A column of the row is ``NEW.name``, as in a trigger: that is the table's alias."""
    return (
        sql.SQL(template)
        .format(
            table=sql.SQL(connection.ops.quote_name(dual_write.table)),
            old=sql.Identifier("new", dual_write.old),
            new=sql.Identifier("new", dual_write.new),
            **parts,
        )
        .as_string()
    )
