"""Counting the rows of several querysets in as few scans as can be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db import connection
from django.db.models import Model, QuerySet
from psycopg import sql

from ops.sql.ask import ask
from ops.sql.compile import Compiled, identifier
from ops.sql.keyset import Keyset

# A fourth of the table.
_MUCH = 4
_NOTHING, _EVERYTHING = Compiled("FALSE", ()), Compiled("TRUE", ())


def counts(querysets: Sequence[QuerySet[Any]], together: bool = True) -> list[int]:
    """The number of rows of each; those over one table and no other are counted in one scan of it.

    At a million rows a scan takes as long as some dozen batches; but not ``together`` where a list of keys
    finds the rows without one.
    """
    numbers: dict[int, int] = {}
    for model in dict.fromkeys(rows.model for rows in querysets) if together else ():
        alone = [i for i, rows in enumerate(querysets) if rows.model is model and _is_alone(rows)]
        if len(alone) > 1:
            numbers |= zip(alone, _scan(model, [querysets[i] for i in alone]), strict=True)
    return [numbers[i] if i in numbers else rows.count() for i, rows in enumerate(querysets)]


def is_much(rows: int, model: type[Model]) -> bool:
    """Whether so many rows are better found by reading their whole table than one by one."""
    table = connection.ops.quote_name(model._meta.db_table)
    [(estimate,)] = ask("SELECT reltuples FROM pg_class WHERE oid = %s::regclass", table)
    return bool(rows * _MUCH > estimate > 0)


@contextmanager
def whole_joins(keyset: Keyset) -> Iterator[None]:
    """Let a list that names much of the table be joined with all of it at once. In a transaction.

    PostgreSQL, whose statistics are older than the list, expects a single entry, and would look for the row
    of each by itself.
    """
    is_whole = keyset.listed is not None and is_much(keyset.keys().count(), keyset.model)
    if is_whole:
        ask("SELECT set_config('enable_nestloop', 'off', true)")
    yield
    if is_whole:
        ask("SELECT set_config('enable_nestloop', 'on', true)")


def _is_alone(rows: QuerySet[Any]) -> bool:
    """Whether it is its table and a condition, and nothing else."""
    query = rows.query
    tables = [alias for alias, references in query.alias_refcount.items() if references]
    more = (
        *(query.distinct, query.is_sliced, query.combinator, query.extra_tables, query.select_for_update),
        query.where.contains_over_clause,
    )
    return len(tables) <= 1 and query.group_by is None and not any(more)


def _scan(model: type[Model], querysets: Sequence[QuerySet[Any]]) -> tuple[int, ...]:
    conditions = [_condition(rows) for rows in querysets]
    counted = [sql.SQL("count(*) FILTER (WHERE {})").format(sql.SQL(each.sql)) for each in conditions]
    statement = sql.SQL("SELECT {} FROM {}").format(
        sql.SQL(", ").join(counted), identifier(model._meta.db_table)
    )
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string(), [param for each in conditions for param in each.params])
        found: tuple[int, ...] = cursor.fetchone()
    return found


def _condition(rows: QuerySet[Any]) -> Compiled:
    compiler = rows.order_by().query.get_compiler(using=rows.db)
    compiler.pre_sql_setup()
    try:
        text, params = compiler.compile(compiler.query.where)
    except EmptyResultSet:
        return _NOTHING
    except FullResultSet:
        return _EVERYTHING
    return Compiled(text, tuple(params)) if text else _EVERYTHING
