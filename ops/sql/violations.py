"""Find the constraints that staged rows violate, before they are loaded."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db import connection
from psycopg import sql

from ops.sql.compile import identifier
from ops.sql.query import fetch_all
from ops.sql.staging import POSITION_COLUMN, StagingTable, column_identifier

_MAX_VALUE_LENGTH = 100


class ViolationKind(StrEnum):
    """What a staged row violates; the comments say what ``subject`` and ``related`` of a violation are."""

    DUPLICATE = "duplicate"  # a column; the position of the first row with its value
    MISSING = "missing"  # a field that a new row needs; nothing
    CHECK = "check"  # a CHECK constraint; its definition
    UNIQUE = "unique"  # the columns of a unique index; the key of the row that has their values
    RENAMED = "renamed"  # the JSON key that identifies a new row; the key of the row that it identifies


@dataclass(frozen=True)
class Violation:
    """What is wrong with the staged row at ``position``; ``key`` is the row's, if it has one.

    ``value`` is the rejected value as text.
    """

    position: int
    kind: ViolationKind
    key: str | None
    subject: str
    value: str | None
    related: str | None


_DUPLICATES_SQL = """
SELECT {position}, 'duplicate', _key, {subject}, value, first::text FROM (
    SELECT {position}, {key}::text AS _key, {column}::text AS value,
        min({position}) OVER (PARTITION BY {column}) AS first FROM {staged}
    WHERE {column} IN (SELECT {column} FROM {staged} GROUP BY {column} HAVING count(*) > 1)) AS duplicate
WHERE {position} > first
"""
_MISSING_VALUES_SQL = """
SELECT {position}, 'missing', {key}::text, {subject}, NULL, NULL FROM {staged} AS staged
WHERE {column} IS NULL AND {is_new}
"""
_IS_NEW_SQL = "NOT EXISTS (SELECT FROM {table} AS target WHERE target.{key} = staged.{key})"
_RENAMED_SQL = """
SELECT {position}, 'renamed', staged.{key}::text, {subject}, staged.{column}, target.{key}::text
FROM {staged} AS staged JOIN {table} AS target ON target.{json_field}->>{subject} = staged.{column}
WHERE {is_new}
"""
_CHECK_VIOLATIONS_SQL = """
SELECT {position}, 'check', {key}::text, verdict.name, left(verdict.value, {most}), verdict.definition
FROM (SELECT * FROM {staged} WHERE {any}) AS staged
CROSS JOIN LATERAL (VALUES {verdicts}) AS verdict (name, definition, value, is_violated)
WHERE verdict.is_violated
"""
# Stored rows that the load does not change have no position, and come first.
_UNIQUE_VIOLATIONS_SQL = """
SELECT {position}, 'unique', _key, {subject}, value, holder FROM (
    SELECT {position}, _key, left(concat_ws(', ', {columns}), {most}) AS value,
        first_value(_key) OVER same AS holder, row_number() OVER same AS rank FROM (
        SELECT {position}, staged.{key}::text AS _key, {merged} FROM {staged} AS staged
        LEFT JOIN {table} AS target ON target.{key} = staged.{key}
        UNION ALL
        SELECT NULL, target.{key}::text, {stored} FROM {table} AS target
        WHERE NOT EXISTS (SELECT FROM {staged} AS staged WHERE staged.{key} = target.{key})) AS result
    WHERE {given} WINDOW same AS (PARTITION BY {columns} ORDER BY {position} NULLS FIRST, _key)) AS ranked
WHERE rank > 1 AND {position} IS NOT NULL
"""
_FIRST_VIOLATIONS_SQL = """
WITH violation (position, kind, key, subject, value, related) AS MATERIALIZED ({violations})
SELECT (SELECT count(DISTINCT position) FROM violation), violation.* FROM violation
WHERE position IN (SELECT DISTINCT position FROM violation ORDER BY position LIMIT %s)
"""
# conenforced came with PostgreSQL 18, as NOT ENFORCED did.
CHECK_CONSTRAINTS_SQL = """
SELECT conname, pg_get_expr(conbin, conrelid), pg_get_constraintdef(con.oid),
    array_agg(attname::text ORDER BY attnum)
FROM pg_constraint AS con JOIN pg_attribute ON attrelid = conrelid AND attnum = ANY (conkey)
WHERE conrelid = %s::regclass AND contype = 'c' AND COALESCE(to_jsonb(con)->>'conenforced', 'true') = 'true'
GROUP BY con.oid, conname, conbin, conrelid ORDER BY conname
"""
UNIQUE_INDEXES_SQL = """
SELECT array_agg(attname::text ORDER BY attnum) FROM pg_index JOIN pg_attribute ON attrelid = indrelid
    AND attnum = ANY ((indkey::int2[])[0:indnkeyatts - 1])
WHERE indrelid = %s::regclass AND indisunique AND NOT indisprimary AND indpred IS NULL AND indexprs IS NULL
GROUP BY indexrelid ORDER BY indexrelid
"""


class ViolationFinder:
    """Collects the queries, which ``find`` executes as one. ``key`` is the field that matches rows.

    A constraint is checked only for rows that give all its columns, since a trigger may write the others. The
    database rejects the rest.
    """

    def __init__(self, staging: StagingTable, key: str | None = None) -> None:
        self._staging = staging
        self._key = column_identifier(staging.get_field(key)) if key else None
        self._queries: list[sql.Composable] = []

    def check_duplicates(self, column: str, subject: str) -> None:
        """Find rows whose value of the column an earlier row has."""
        self._add_query(_DUPLICATES_SQL, column=sql.Identifier(column), subject=_escaped_literal(subject))

    def check_required(self, field: str) -> None:
        """Find new rows (all rows where there is no key) that lack the field."""
        is_new = self._compose(_IS_NEW_SQL) if self._key else sql.SQL("TRUE")
        column = column_identifier(self._staging.get_field(field))
        self._add_query(_MISSING_VALUES_SQL, column=column, subject=_escaped_literal(field), is_new=is_new)

    def check_renamed_keys(self, column: str, json_field: str, subject: str) -> None:
        """Find new rows that the column identifies as stored rows with another key.

        The table keeps that column's values under the key ``subject`` of ``json_field``.
        """
        self._add_query(
            _RENAMED_SQL,
            column=sql.Identifier(column),
            json_field=column_identifier(self._staging.get_field(json_field)),
            subject=_escaped_literal(subject),
            is_new=self._compose(_IS_NEW_SQL),
        )

    def check_constraints(self) -> None:
        """Find rows that violate a CHECK constraint of the table."""
        given = {str(field.column) for field in self._staging.given_fields}
        checks = [
            check for check in self._fetch_catalog_rows(CHECK_CONSTRAINTS_SQL) if given.issuperset(check[3])
        ]
        conditions = [_violates_check_sql(expression, columns) for _, expression, _, columns in checks]
        verdicts = [
            sql.SQL("({}, {}, concat_ws(', ', {}), {})").format(
                _escaped_literal(name), _escaped_literal(definition), _column_list(columns), is_violated
            )
            for (name, _, definition, columns), is_violated in zip(checks, conditions, strict=True)
        ]
        if checks:
            self._add_query(
                _CHECK_VIOLATIONS_SQL,
                any=sql.SQL(" OR ").join(conditions),
                verdicts=sql.SQL(", ").join(verdicts),
            )

    def check_unique(self) -> None:
        """Find rows whose values another row has in a unique index, other than that of the key."""
        given = {str(field.column) for field in self._staging.given_fields}
        for (columns,) in self._fetch_catalog_rows(UNIQUE_INDEXES_SQL):
            if given.issuperset(columns) and [identifier(name) for name in columns] != [self._key]:
                self._add_query(
                    _UNIQUE_VIOLATIONS_SQL,
                    subject=_escaped_literal(", ".join(columns)),
                    **_unique_index_parts(columns),
                )

    def find(self, limit: int) -> tuple[list[Violation], int]:
        """Return the violations of the first ``limit`` bad rows, in order, and the count of all bad rows."""
        if not self._queries:
            return [], 0
        statement = sql.SQL(_FIRST_VIOLATIONS_SQL).format(
            violations=sql.SQL(" UNION ALL ").join(self._queries)
        )
        with connection.cursor() as cursor:
            cursor.execute(statement, [limit])
            rows = cursor.fetchall()
        violations = [Violation(position, ViolationKind(kind), *rest) for _, position, kind, *rest in rows]
        order = list(ViolationKind)
        violations.sort(key=lambda violation: (violation.position, order.index(violation.kind)))
        return violations, rows[0][0] if rows else 0

    def _add_query(self, query: str, **parts: sql.Composable) -> None:
        self._queries.append(self._compose(query, **parts))

    def _compose(self, query: str, **parts: sql.Composable) -> sql.Composable:
        return sql.SQL(query).format(
            position=sql.Identifier(POSITION_COLUMN),
            key=self._key or sql.SQL("NULL"),
            staged=self._staging.table,
            table=identifier(self._staging.model._meta.db_table),
            most=sql.Literal(_MAX_VALUE_LENGTH),
            **parts,
        )

    def _fetch_catalog_rows(self, query: str) -> list[tuple[Any, ...]]:
        return fetch_all(query, connection.ops.quote_name(self._staging.model._meta.db_table))


def _violates_check_sql(expression: str, columns: list[str]) -> sql.Composable:
    """Whether a row gives all the columns and violates the constraint."""
    given = [sql.SQL("{} IS NOT NULL").format(identifier(name)) for name in columns]
    is_false = sql.SQL("({}) IS FALSE").format(sql.SQL(expression.replace("%", "%%")))
    return sql.SQL("({})").format(sql.SQL(" AND ").join([*given, is_false]))


def _column_list(columns: list[str]) -> sql.Composable:
    return sql.SQL(", ").join(identifier(name) for name in columns)


def _escaped_literal(text: str) -> sql.Composable:
    """A literal for a statement whose parameters are ``%s``: percent signs are doubled."""
    return sql.Literal(text.replace("%", "%%"))


def _unique_index_parts(columns: list[str]) -> dict[str, sql.Composable]:
    names = [identifier(name) for name in columns]
    merged = [sql.SQL("COALESCE(staged.{0}, target.{0}) AS {0}").format(name) for name in names]
    return {
        "merged": sql.SQL(", ").join(merged),
        "stored": sql.SQL(", ").join(sql.SQL("target.{}").format(name) for name in names),
        "columns": _column_list(columns),
        "given": sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(name) for name in names),
    }
