"""Lint a migration: find the statements of its SQL that are not safe while players play."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.db import DatabaseError, NotSupportedError, connection
from django.db.migrations import Migration, RunPython
from django.db.migrations.operations.base import Operation
from django.db.migrations.operations.special import SeparateDatabaseAndState
from django.db.migrations.state import ProjectState

from ops.column_changes.migration_operations import AddDualWrite
from ops.formatting import first_line
from ops.preflight.finding import Severity
from ops.preflight.rules import LINT_RULES
from ops.preflight.squawk import run_squawk
from ops.sql.query import fetch_all

LARGE_TABLE_BYTES = 16 * 2**20  # bytes: a scan or a rewrite of less takes a fraction of a second
_TABLE_PATTERN = re.compile(
    r"\b(?:ALTER TABLE|DROP TABLE|TRUNCATE(?: TABLE)?|UPDATE|DELETE FROM|DROP INDEX(?: CONCURRENTLY)?|ON)\s+"
    r'(?:IF EXISTS\s+)?(?:ONLY\s+)?(?:"?\w+"?\.)?(?:"([^"]+)"|(\w+))',
    re.IGNORECASE,
)
_UPDATE_OR_DELETE = re.compile(r"\s*(UPDATE|DELETE)\b", re.IGNORECASE)
_ALTER_TYPE_PATTERN = re.compile(
    r'COLUMN "([^"]+)" TYPE (text|varchar\((\d+)\)|varchar)( USING "\1"::[\w()]+)?;?\s*$'
)

_TABLE_SIZE_SQL = """
SELECT t.relname, pg_table_size(t.oid) FROM pg_class c LEFT JOIN pg_index i ON indexrelid = c.oid
    JOIN pg_class t ON t.oid = coalesce(indrelid, c.oid)
WHERE c.oid = to_regclass(quote_ident(%s))
"""
_COLUMN_LENGTH_SQL = """
SELECT atttypmod - 4 FROM pg_attribute
WHERE attrelid = to_regclass(quote_ident(%s)) AND attname = %s
    AND atttypid IN ('varchar'::regtype, 'text'::regtype)
"""


@dataclass(frozen=True)
class Statement:
    """A statement, the description of its operation, and the line on which it begins."""

    sql: str
    description: str
    line: int


@dataclass(frozen=True)
class UnsafeStep:
    """A statement or operation that is not safe while players play."""

    severity: Severity
    description: str
    reason: str
    safe_alternative: str


@dataclass(frozen=True)
class _Table:
    name: str
    bytes: int


def lint_migration(migration: Migration, before: ProjectState) -> list[UnsafeStep]:
    """Find the unsafe steps of the migration, applied to this state. Raises LinterUnavailable."""
    steps = list(_lint_operations(migration))
    try:
        steps += _lint_statements(_collect_linted_statements(migration, before), migration.atomic)
    except DatabaseError as exc:
        steps.append(_explain_sql_error(exc))
    return list(dict.fromkeys(steps))


def collect_statements(migration: Migration, before: ProjectState) -> list[Statement]:
    """Collect the SQL that the migration would run, without running it."""
    with connection.schema_editor(collect_sql=True, atomic=migration.atomic) as editor:
        migration.apply(before.clone(), editor, collect_sql=True)
    statements, description, line = [], "", 0
    for sql in editor.collected_sql:
        if not sql.startswith("--"):
            statements.append(Statement(sql, description, line))
        elif sql.strip("- "):
            description = sql.removeprefix("-- ")
        line += sql.count("\n") + 1
    return statements


def _collect_linted_statements(migration: Migration, before: ProjectState) -> list[Statement]:
    """Collect the statements, without the DROP DEFAULT of a dual write: its trigger takes the default."""
    dual_writes = {
        operation.describe()
        for operation in _flatten_operations(migration.operations)
        if isinstance(operation, AddDualWrite)
    }
    return [
        statement
        for statement in collect_statements(migration, before)
        if not (statement.description in dual_writes and statement.sql.endswith(" DROP DEFAULT;"))
    ]


def _lint_operations(migration: Migration) -> Iterator[UnsafeStep]:
    for operation in _flatten_operations(migration.operations):
        if isinstance(operation, RunPython):
            yield _build_step("python", operation.describe(), None)
        if not operation.reversible:
            yield _build_step("no-way-back", operation.describe(), None)


def _flatten_operations(operations: Iterable[Operation]) -> Iterator[Operation]:
    for operation in operations:
        if isinstance(operation, SeparateDatabaseAndState):
            yield from _flatten_operations(operation.database_operations)
        else:
            yield operation


def _lint_statements(statements: list[Statement], atomic: bool) -> Iterator[UnsafeStep]:
    version: int = connection.pg_version  # type: ignore[attr-defined]
    for warning in run_squawk(_join_statements(statements, atomic), version):
        statement = next((each for each in reversed(statements) if each.line <= warning.line), None)
        if statement and warning.rule in LINT_RULES:
            yield from _apply_rule(warning.rule, statement)
    for statement in statements:
        if _UPDATE_OR_DELETE.match(statement.sql):
            yield from _apply_rule("change-of-many-rows", statement)


def _join_statements(statements: list[Statement], atomic: bool) -> str:
    """Put each statement on its own line number, so that Squawk's line numbers are ours."""
    lines: list[str] = []
    for statement in statements:
        lines += [""] * (statement.line - len(lines)) + statement.sql.split("\n")
    return "\n".join(["BEGIN;", *lines[1:], "COMMIT;"] if atomic else lines)


def _apply_rule(rule: str, statement: Statement) -> Iterator[UnsafeStep]:
    """Build a step, unless the table does not exist yet or the statement is a harmless case of the rule."""
    table = _find_table(statement.sql)
    if table is None and _TABLE_PATTERN.search(statement.sql):
        return
    if rule == "changing-column-type" and table and _is_widening_only(table.name, statement.sql):
        return
    if rule == "adding-field-with-default" and _has_nonvolatile_default(statement.sql):
        return
    if rule in ("adding-foreign-key-constraint", "constraint-missing-not-valid") and _is_nullable_addition(
        statement.sql
    ):
        return
    yield _build_step(rule, statement.description, table)


def _build_step(name: str, description: str, table: _Table | None) -> UnsafeStep:
    rule = LINT_RULES[name]
    severity = (
        rule.small_table_severity if table and table.bytes < LARGE_TABLE_BYTES else rule.large_table_severity
    )
    return UnsafeStep(severity, description, rule.reason, rule.safe_alternative)


def _find_table(sql: str) -> _Table | None:
    """Find the table that the statement changes, or whose index; None if it does not exist yet."""
    match = _TABLE_PATTERN.search(sql)
    if match is None:
        return None
    rows = fetch_all(_TABLE_SIZE_SQL, match[1] or match[2].lower())
    return _Table(*rows[0]) if rows else None


def _is_widening_only(table: str, sql: str) -> bool:
    """Whether the statement only widens a text column, so that PostgreSQL neither rewrites nor scans."""
    match = _ALTER_TYPE_PATTERN.search(sql)
    if match is None:
        return False
    rows = fetch_all(_COLUMN_LENGTH_SQL, table, match[1])
    return bool(rows) and (not match[3] or 0 < rows[0][0] <= int(match[3]))


def _has_nonvolatile_default(sql: str) -> bool:
    """Whether no function of the default is volatile: PostgreSQL then stores it once, not in every row."""
    default = re.search(r" DEFAULT (.*)", sql)
    functions = re.findall(r"(\w+)\s*\(", default[1].lower()) if default and "GENERATED" not in sql else []
    volatilities = fetch_all("SELECT provolatile FROM pg_proc WHERE proname = ANY(%s)", functions)
    return bool(volatilities) and ("v",) not in volatilities


def _is_nullable_addition(sql: str) -> bool:
    """Whether the statement adds a column without a default: PostgreSQL then checks no row."""
    return "ADD COLUMN" in sql and " DEFAULT " not in sql


def _explain_sql_error(exc: DatabaseError) -> UnsafeStep:
    """Build a step for SQL that Django refuses, or that needs an earlier migration, unapplied as well."""
    message = first_line(exc)
    if isinstance(exc, NotSupportedError):
        return UnsafeStep(
            Severity.RED, "cannot be applied", message, "atomic = False, in a migration of its own"
        )
    return UnsafeStep(
        Severity.YELLOW, "its SQL cannot be shown in advance", message, "--rehearse applies it to a copy"
    )
