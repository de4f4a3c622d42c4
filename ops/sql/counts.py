"""Counting the rows of several querysets in as few scans as can be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db import connection
from django.db.models import Model, QuerySet
from psycopg import sql

from ops.sql.compile import CompiledStatement, identifier
from ops.sql.keylist import KeyList
from ops.sql.keyset import Keyset
from ops.sql.query import fetch_all

# A fourth of the table.
_LARGE_SHARE_DIVISOR = 4
_ALWAYS_FALSE, _ALWAYS_TRUE = CompiledStatement("FALSE", ()), CompiledStatement("TRUE", ())


def count_querysets(querysets: Sequence[QuerySet[Any]], listed: KeyList | None = None) -> list[int]:
    """The number of rows of each; those over one table and no other are counted in one scan of it.

    So are those over one table and the list ``listed``, by which its rows are found. At a million rows a scan
    takes as long as some dozen batches.
    """
    numbers: dict[int, int] = {}
    for model in dict.fromkeys(rows.model for rows in querysets):
        for source in {None, listed}:
            alike = [
                i for i, rows in enumerate(querysets) if rows.model is model and is_plain_filter(rows, source)
            ]
            if len(alike) > 1:
                numbers |= zip(
                    alike, _count_in_one_scan(model, source, [querysets[i] for i in alike]), strict=True
                )
    return [numbers[i] if i in numbers else rows.count() for i, rows in enumerate(querysets)]


def is_plain_filter(rows: QuerySet[Any], listed: KeyList | None = None) -> bool:
    """Whether it is its table, joined with the list or with none, and a condition, and nothing else."""
    query = rows.query
    tables = [alias for alias, references in query.alias_refcount.items() if references]
    more = (
        *(query.distinct, query.is_sliced, query.combinator, query.extra_tables, query.select_for_update),
        query.where.contains_over_clause,
    )
    is_joined = len(tables) == 2 and tables[1] == listed.alias if listed else len(tables) <= 1
    return is_joined and query.group_by is None and not any(more)


def is_large_share(rows: int, model: type[Model]) -> bool:
    """Whether so many rows are better found by reading their whole table than one by one."""
    table = connection.ops.quote_name(model._meta.db_table)
    [(estimate,)] = fetch_all("SELECT reltuples FROM pg_class WHERE oid = %s::regclass", table)
    return bool(rows * _LARGE_SHARE_DIVISOR > estimate > 0)


@contextmanager
def without_nested_loops(keyset: Keyset) -> Iterator[None]:
    """Let a list that names much of the table be joined with all of it at once. In a transaction.

    PostgreSQL, whose statistics are older than the list, expects a single entry, and would look for the row
    of each by itself.
    """
    is_whole = keyset.key_list is not None and is_large_share(keyset.keys().count(), keyset.model)
    if is_whole:
        fetch_all(
            "SELECT set_config('enable_nestloop', 'off', true), set_config('enable_indexscan', 'off', true)"
        )
    yield
    if is_whole:
        fetch_all(
            "SELECT set_config('enable_nestloop', 'on', true), set_config('enable_indexscan', 'on', true)"
        )


def _count_in_one_scan(
    model: type[Model], listed: KeyList | None, querysets: Sequence[QuerySet[Any]]
) -> tuple[int, ...]:
    conditions = [_compile_where(rows) for rows in querysets]
    counted = [sql.SQL("count(*) FILTER (WHERE {})").format(sql.SQL(each.sql)) for each in conditions]
    every = model._base_manager.all()
    source: sql.Composable = sql.SQL("")
    if listed:
        every, source = listed.join(every), sql.SQL("CROSS JOIN {}").format(listed.source)
    conditions.append(_compile_where(every))
    statement = sql.SQL("SELECT {counted} FROM {table} {source} WHERE {every}").format(
        counted=sql.SQL(", ").join(counted),
        table=identifier(model._meta.db_table),
        source=source,
        every=sql.SQL(conditions[-1].sql),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string(), [param for each in conditions for param in each.params])
        found: tuple[int, ...] = cursor.fetchone()
    return found


def _compile_where(rows: QuerySet[Any]) -> CompiledStatement:
    compiler = rows.order_by().query.get_compiler(using=rows.db)
    compiler.pre_sql_setup()
    try:
        text, params = compiler.compile(compiler.query.where)
    except EmptyResultSet:
        return _ALWAYS_FALSE
    except FullResultSet:
        return _ALWAYS_TRUE
    return CompiledStatement(text, tuple(params)) if text else _ALWAYS_TRUE
