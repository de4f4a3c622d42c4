"""Ask PostgreSQL whether it accepts the expressions of a dual write, without making the triggers."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import DatabaseError, transaction
from psycopg import sql

from ops.sql.dual_write import DualWrite
from ops.sql.query import fetch_all

_COMPARE = "EXPLAIN SELECT {new} IS DISTINCT FROM ({to_new}), {old} IS DISTINCT FROM ({to_old}) FROM {row}"
_CONVERT_NULL = "SELECT ({to_new}) IS NULL FROM {row}"


def find_expression_error(dual_write: DualWrite, types: Mapping[str, str]) -> DatabaseError | None:
    """Return why the columns cannot be converted and compared, or None; ``types`` are by column."""
    try:
        _execute(_COMPARE, dual_write, types)
    except DatabaseError as exc:
        return exc
    return None


def is_null_for_null(dual_write: DualWrite, types: Mapping[str, str]) -> bool:
    """Whether the new value of a row without any value is none."""
    try:
        return _execute(_CONVERT_NULL, dual_write, types)
    except DatabaseError:
        return False  # the expression itself refuses such a row


def _execute(template: str, dual_write: DualWrite, types: Mapping[str, str]) -> bool:
    """Execute the statement over one row of NULLs, called ``new`` as in a trigger."""
    columns = {"old": sql.Identifier("new", dual_write.old), "new": sql.Identifier("new", dual_write.new)}
    values = (
        sql.SQL("NULL::{} AS {}").format(sql.SQL(kind), sql.Identifier(name)) for name, kind in types.items()
    )
    statement = sql.SQL(template).format(
        **columns,
        to_new=sql.SQL(dual_write.to_new).format(**columns),
        to_old=sql.SQL(dual_write.to_old or "NULL").format(**columns),
        row=sql.SQL("(SELECT {}) AS new").format(sql.SQL(", ").join(values)),
    )
    with transaction.atomic():
        [(answer, *_), *_] = fetch_all(statement.as_string())
    return bool(answer)
