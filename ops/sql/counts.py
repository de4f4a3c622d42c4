"""Count the rows of several querysets in as few scans as possible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db import connection
from django.db.models import Model, QuerySet
from psycopg import sql

from ops.sql.compile import CompiledStatement, identifier
from ops.sql.keylist import KeyList
from ops.sql.query import fetch_all

# A list that names more than a fourth of a table is a large share of it.
_LARGE_SHARE_DIVISOR = 4
_MAX_COUNTED = 10_000
_FREQUENCIES_SQL = """
SELECT value, frequency
FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
JOIN pg_stats ON schemaname = nspname AND tablename = relname,
    unnest(most_common_vals::text::text[], most_common_freqs) AS common (value, frequency)
WHERE pg_class.oid = to_regclass(quote_ident(%s)) AND attname = %s
"""
_ALWAYS_FALSE, _ALWAYS_TRUE = CompiledStatement("FALSE", ()), CompiledStatement("TRUE", ())


def count_querysets(querysets: Sequence[QuerySet[Any]], key_list: KeyList | None = None) -> list[int]:
    """Count the rows of each queryset; those over the same single table are counted in one scan of it.

    So are those over one table joined with ``key_list``. At a million rows a scan takes as long as some dozen
    batches.
    """
    counts: dict[int, int] = {}
    for model in dict.fromkeys(rows.model for rows in querysets):
        for source in {None, key_list}:
            group = [
                i for i, rows in enumerate(querysets) if rows.model is model and is_plain_filter(rows, source)
            ]
            if len(group) > 1:
                counts |= zip(
                    group, _count_in_one_scan(model, source, [querysets[i] for i in group]), strict=True
                )
    return [counts[i] if i in counts else rows.count() for i, rows in enumerate(querysets)]


def is_plain_filter(rows: QuerySet[Any], key_list: KeyList | None = None) -> bool:
    """Whether the queryset is one table and a WHERE, joined with ``key_list`` if given, and nothing else."""
    query = rows.query
    tables = [alias for alias, references in query.alias_refcount.items() if references]
    other_clauses = (
        *(query.distinct, query.is_sliced, query.combinator, query.extra_tables, query.select_for_update),
        query.where.contains_over_clause,
    )
    is_joined = len(tables) == 2 and tables[1] == key_list.alias if key_list else len(tables) <= 1
    return is_joined and query.group_by is None and not any(other_clauses)


def is_large_share(rows: int, model: type[Model]) -> bool:
    """Whether reading the whole table is faster than finding so many rows one by one."""
    return rows * _LARGE_SHARE_DIVISOR > estimate_row_count(model) > 0


def estimate_row_count(model: type[Model]) -> int:
    """Return the planner's estimate of the table's rows; -1 if the table was never analyzed."""
    table = connection.ops.quote_name(model._meta.db_table)
    [(estimate,)] = fetch_all("SELECT reltuples FROM pg_class WHERE oid = %s::regclass", table)
    return int(estimate)


@dataclass(frozen=True)
class ValueCounts:
    """How many rows have each value of a column; estimated for a large table."""

    counts: dict[Any, int]
    is_exact: bool


def estimate_value_counts(model: type[Model], column: str) -> ValueCounts:
    """Count the rows by the values of a text field, whose column has its name.

    Reads at most _MAX_COUNTED rows. A larger table is estimated from statistics: its most common
    values, 100 by default. Where there are none, as before the first ANALYZE, the rows read are counted.
    """
    values = list(model._base_manager.values_list(column, flat=True)[: _MAX_COUNTED + 1])
    counted = Counter(values[:_MAX_COUNTED])
    if len(values) <= _MAX_COUNTED:
        return ValueCounts(dict(counted), is_exact=True)
    rows = fetch_all(_FREQUENCIES_SQL, model._meta.db_table, column)
    total = estimate_row_count(model)
    return ValueCounts(
        {value: round(total * share) for value, share in rows} or dict(counted), is_exact=False
    )


@contextmanager
def without_nested_loops(model: type[Model], listed: int) -> Iterator[None]:
    """Disable nested loops if a list of so many keys names a large share of the table. In a transaction.

    PostgreSQL's statistics are older than the list: it expects a single entry, and would look up the row of
    each entry by itself.
    """
    is_large = listed > 0 and is_large_share(listed, model)
    if is_large:
        fetch_all(
            "SELECT set_config('enable_nestloop', 'off', true), set_config('enable_indexscan', 'off', true)"
        )
    yield
    if is_large:
        fetch_all(
            "SELECT set_config('enable_nestloop', 'on', true), set_config('enable_indexscan', 'on', true)"
        )


def _count_in_one_scan(
    model: type[Model], key_list: KeyList | None, querysets: Sequence[QuerySet[Any]]
) -> tuple[int, ...]:
    conditions = [_compile_where(rows) for rows in querysets]
    counts = [sql.SQL("count(*) FILTER (WHERE {})").format(sql.SQL(where.sql)) for where in conditions]
    rows = model._base_manager.all()
    source: sql.Composable = sql.SQL("")
    if key_list:
        rows, source = key_list.join(rows), sql.SQL("CROSS JOIN {}").format(key_list.source)
    conditions.append(_compile_where(rows))
    statement = sql.SQL("SELECT {counts} FROM {table} {source} WHERE {condition}").format(
        counts=sql.SQL(", ").join(counts),
        table=identifier(model._meta.db_table),
        source=source,
        condition=sql.SQL(conditions[-1].sql),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string(), [param for where in conditions for param in where.params])
        numbers: tuple[int, ...] = cursor.fetchone()
    return numbers


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
