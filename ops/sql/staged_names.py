"""Names that were staged, compared with the columns that use them: one scan of each table."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import models
from psycopg import sql

from ops.sql.compile import identifier
from ops.sql.query import fetch_all
from ops.sql.staging import StagingTable, column_identifier

Column = tuple[type[models.Model], str]


def find_unused_names(staging: StagingTable, users: Sequence[Column], limit: int) -> tuple[int, list[str]]:
    """Count the staged names that none of the columns has; return the first of them too."""
    name = column_identifier(staging.fields[0])
    used = [_compare(column, sql.SQL("staged.{}").format(name)) for column in users]
    source = sql.SQL("FROM {table} AS staged WHERE {unused}").format(
        table=staging.table,
        unused=sql.SQL(" AND ").join(sql.SQL("NOT EXISTS ({})").format(each) for each in used),
    )
    return _count_and_list(sql.SQL("staged.{}").format(name), source, limit)


def find_missing_names(staging: StagingTable, column: Column, limit: int) -> tuple[int, list[str]]:
    """Count the rows whose column has a name that was not staged; return the first names too."""
    model, field = column
    table, name = identifier(model._meta.db_table), identifier(model._meta.db_table, field)
    source = sql.SQL(
        "FROM {table} WHERE NOT EXISTS (SELECT FROM {staged} AS staged WHERE staged.{staged_name} = {name})"
    ).format(table=table, staged=staging.table, staged_name=column_identifier(staging.fields[0]), name=name)
    return _count_and_list(name, source, limit)


def _compare(column: Column, name: sql.Composable) -> sql.Composed:
    model, field = column
    table = model._meta.db_table
    return sql.SQL("SELECT FROM {} WHERE {} = {}").format(identifier(table), identifier(table, field), name)


def _count_and_list(name: sql.Composable, source: sql.Composable, limit: int) -> tuple[int, list[str]]:
    [(count,)] = fetch_all(sql.SQL("SELECT count(*) {}").format(source).as_string())
    statement = sql.SQL("SELECT {name} {source} ORDER BY 1 LIMIT %s").format(name=name, source=source)
    return count, [value for (value,) in fetch_all(statement.as_string(), limit)]
