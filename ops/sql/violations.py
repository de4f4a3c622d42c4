"""What is wrong with staged rows: all that a merge of them would trip over, asked before it begins."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db import connection
from psycopg import sql

from ops.sql.compile import identifier
from ops.sql.staging import POSITION_COLUMN, StagingTable, column_identifier

_MAX_VALUE_LENGTH = 100


class ViolationKind(StrEnum):
    TWICE = "twice"  # ``about`` is a column, ``other`` the place that gave its value before
    LACKING = "lacking"  # ``about`` is a field that a new row needs
    BROKEN = "broken"  # ``about`` is a CHECK constraint, ``other`` its definition
    TAKEN = (
        "taken"  # ``about`` are the columns of a unique index, ``other`` is the key of the row that has them
    )

    RENAMED = (
        "renamed"  # ``about`` is what a new row is known by, ``other`` is the key of the row that is too
    )


@dataclass(frozen=True)
class Violation:
    """What is wrong with the staged row at a place; ``key`` is the row's, where it has one.

    ``value`` is what is wrong, as text.
    """

    place: int
    kind: ViolationKind
    key: str | None
    about: str
    value: str | None
    other: str | None


_DUPLICATES_SQL = """
SELECT {place}, 'twice', _key, {about}, value, first::text FROM (
    SELECT {place}, {key}::text AS _key, {column}::text AS value,
        min({place}) OVER (PARTITION BY {column}) AS first FROM {staged}
    WHERE {column} IN (SELECT {column} FROM {staged} GROUP BY {column} HAVING count(*) > 1)) AS doubled
WHERE {place} > first
"""
_MISSING_VALUES_SQL = """
SELECT {place}, 'lacking', {key}::text, {about}, NULL, NULL FROM {staged} AS staged
WHERE {column} IS NULL AND {is_new}
"""
_IS_NEW_SQL = "NOT EXISTS (SELECT FROM {table} AS target WHERE target.{key} = staged.{key})"
_RENAMED_SQL = """
SELECT {place}, 'renamed', staged.{key}::text, {about}, staged.{column}, target.{key}::text
FROM {staged} AS staged JOIN {table} AS target ON target.{kept}->>{about} = staged.{column} WHERE {is_new}
"""
_CHECK_VIOLATIONS_SQL = """
SELECT {place}, 'broken', {key}::text, verdict.name, left(verdict.value, {most}), verdict.definition
FROM (SELECT * FROM {staged} WHERE {any}) AS staged
CROSS JOIN LATERAL (VALUES {verdicts}) AS verdict (name, definition, value, broken) WHERE verdict.broken
"""
# Rows of the table that the merge leaves alone have no place, and come first.
_UNIQUE_VIOLATIONS_SQL = """
SELECT {place}, 'taken', _key, {about}, value, holder FROM (
    SELECT {place}, _key, left(concat_ws(', ', {columns}), {most}) AS value,
        first_value(_key) OVER same AS holder, row_number() OVER same AS rank FROM (
        SELECT {place}, staged.{key}::text AS _key, {merged} FROM {staged} AS staged
        LEFT JOIN {table} AS target ON target.{key} = staged.{key}
        UNION ALL
        SELECT NULL, target.{key}::text, {stored} FROM {table} AS target
        WHERE NOT EXISTS (SELECT FROM {staged} AS staged WHERE staged.{key} = target.{key})) AS result
    WHERE {given} WINDOW same AS (PARTITION BY {columns} ORDER BY {place} NULLS FIRST, _key)) AS ranked
WHERE rank > 1 AND {place} IS NOT NULL
"""
_FIRST_VIOLATIONS_SQL = """
WITH fault (place, kind, key, about, value, other) AS MATERIALIZED ({faults})
SELECT (SELECT count(DISTINCT place) FROM fault), fault.* FROM fault
WHERE place IN (SELECT DISTINCT place FROM fault ORDER BY place LIMIT %s)
"""
# NOT ENFORCED came with PostgreSQL 18, and so did the column that tells of it.
_CHECK_CONSTRAINTS_SQL = """
SELECT conname, pg_get_expr(conbin, conrelid), pg_get_constraintdef(con.oid),
    array_agg(attname::text ORDER BY attnum)
FROM pg_constraint AS con JOIN pg_attribute ON attrelid = conrelid AND attnum = ANY (conkey)
WHERE conrelid = %s::regclass AND contype = 'c' AND COALESCE(to_jsonb(con)->>'conenforced', 'true') = 'true'
GROUP BY con.oid, conname, conbin, conrelid ORDER BY conname
"""
_UNIQUE_INDEXES_SQL = """
SELECT array_agg(attname::text ORDER BY attnum) FROM pg_index JOIN pg_attribute ON attrelid = indrelid
    AND attnum = ANY ((indkey::int2[])[0:indnkeyatts - 1])
WHERE indrelid = %s::regclass AND indisunique AND NOT indisprimary AND indpred IS NULL AND indexprs IS NULL
GROUP BY indexrelid ORDER BY indexrelid
"""


class ViolationFinder:
    """Gathers questions about staged rows, for `find` to ask at once; ``key`` is the field that matches them.

    What a trigger writes cannot be known before, so that a constraint is asked only of rows that give all its
    columns. The rest is the database's to refuse.
    """

    def __init__(self, staging: StagingTable, key: str | None = None) -> None:
        self._staging = staging
        self._key = column_identifier(staging.field(key)) if key else None
        self._questions: list[sql.Composable] = []

    def twice(self, column: str, about: str) -> None:
        """Is a value of the column given before?"""
        self._ask(_DUPLICATES_SQL, column=sql.Identifier(column), about=_escaped_literal(about))

    def lacking(self, field: str) -> None:
        """Does a row that is to be created, any where there is no key, lack what it needs?"""
        is_new = self._composed(_IS_NEW_SQL) if self._key else sql.SQL("TRUE")
        column = column_identifier(self._staging.field(field))
        self._ask(_MISSING_VALUES_SQL, column=column, about=_escaped_literal(field), is_new=is_new)

    def renamed(self, column: str, kept: str, about: str) -> None:
        """Is a new row known, by what is in the column, as one that has another key?

        The table's rows keep that under the name ``about`` in ``kept``, a field of JSON objects.
        """
        self._ask(
            _RENAMED_SQL,
            column=sql.Identifier(column),
            kept=column_identifier(self._staging.field(kept)),
            about=_escaped_literal(about),
            is_new=self._composed(_IS_NEW_SQL),
        )

    def broken(self) -> None:
        """Does a row break a CHECK constraint of the table?"""
        given = {str(field.column) for field in self._staging.given}
        checks = [
            check for check in self._asked_of_table(_CHECK_CONSTRAINTS_SQL) if given.issuperset(check[3])
        ]
        broken = [_violates_check_sql(expression, columns) for _, expression, _, columns in checks]
        verdicts = [
            sql.SQL("({}, {}, concat_ws(', ', {}), {})").format(
                _escaped_literal(name), _escaped_literal(definition), _column_list(columns), breaks
            )
            for (name, _, definition, columns), breaks in zip(checks, broken, strict=True)
        ]
        if checks:
            self._ask(
                _CHECK_VIOLATIONS_SQL, any=sql.SQL(" OR ").join(broken), verdicts=sql.SQL(", ").join(verdicts)
            )

    def taken(self) -> None:
        """Would a row have what is another's, in a column, beside the key, that is unique?"""
        given = {str(field.column) for field in self._staging.given}
        for (columns,) in self._asked_of_table(_UNIQUE_INDEXES_SQL):
            if given.issuperset(columns) and [identifier(name) for name in columns] != [self._key]:
                self._ask(
                    _UNIQUE_VIOLATIONS_SQL,
                    about=_escaped_literal(", ".join(columns)),
                    **_unique_index_parts(columns),
                )

    def find(self, limit: int) -> tuple[list[Violation], int]:
        """The faults of the first rows that have any, in the rows' order; and how many rows have."""
        if not self._questions:
            return [], 0
        found = sql.SQL(_FIRST_VIOLATIONS_SQL).format(faults=sql.SQL(" UNION ALL ").join(self._questions))
        with connection.cursor() as cursor:
            cursor.execute(found, [limit])
            rows = cursor.fetchall()
        faults = [Violation(place, ViolationKind(kind), *told) for _, place, kind, *told in rows]
        order = list(ViolationKind)
        faults.sort(key=lambda fault: (fault.place, order.index(fault.kind)))
        return faults, rows[0][0] if rows else 0

    def _ask(self, question: str, **parts: sql.Composable) -> None:
        self._questions.append(self._composed(question, **parts))

    def _composed(self, question: str, **parts: sql.Composable) -> sql.Composable:
        return sql.SQL(question).format(
            place=sql.Identifier(POSITION_COLUMN),
            key=self._key or sql.SQL("NULL"),
            staged=self._staging.table,
            table=identifier(self._staging.model._meta.db_table),
            most=sql.Literal(_MAX_VALUE_LENGTH),
            **parts,
        )

    def _asked_of_table(self, question: str) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(question, [f'"{self._staging.model._meta.db_table}"'])
            return list(cursor.fetchall())


def _violates_check_sql(expression: str, columns: list[str]) -> sql.Composable:
    """Whether a row that gives all the columns breaks the constraint."""
    given = [sql.SQL("{} IS NOT NULL").format(identifier(name)) for name in columns]
    is_false = sql.SQL("({}) IS FALSE").format(sql.SQL(expression.replace("%", "%%")))
    return sql.SQL("({})").format(sql.SQL(" AND ").join([*given, is_false]))


def _column_list(columns: list[str]) -> sql.Composable:
    return sql.SQL(", ").join(identifier(name) for name in columns)


def _escaped_literal(text: str) -> sql.Composable:
    """For a statement whose parameters are ``%s``."""
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
