"""What of a migration is not safe while players play: its own SQL is read, operation by operation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.db import DatabaseError, NotSupportedError, connection
from django.db.migrations import Migration, RunPython
from django.db.migrations.operations.base import Operation
from django.db.migrations.operations.special import SeparateDatabaseAndState
from django.db.migrations.state import ProjectState

from ops.preflight.finding import Severity
from ops.preflight.rules import LINT_RULES
from ops.preflight.squawk import run_squawk
from ops.sql.query import fetch_all

LARGE_TABLE_BYTES = 16 * 2**20  # bytes: below it a scan or a rewrite is over in a fraction of a second
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
    """A statement, what it does in the words of its operation, and the line where it begins."""

    sql: str
    description: str
    line: int


@dataclass(frozen=True)
class UnsafeStep:
    severity: Severity
    description: str
    reason: str
    safe_alternative: str


@dataclass(frozen=True)
class _Table:
    name: str
    bytes: int


def lint_migration(migration: Migration, before: ProjectState) -> list[UnsafeStep]:
    """What is not safe in the migration, applied to this state. Raises NoLinter."""
    found = list(_lint_operations(migration))
    try:
        found += _lint_statements(collect_statements(migration, before), migration.atomic)
    except DatabaseError as exc:
        found.append(_explain_sql_error(exc))
    return list(dict.fromkeys(found))


def collect_statements(migration: Migration, before: ProjectState) -> list[Statement]:
    """The SQL that the migration would run, nothing of it being run."""
    with connection.schema_editor(collect_sql=True, atomic=migration.atomic) as editor:
        migration.apply(before.clone(), editor, collect_sql=True)
    told, does, line = [], "", 0
    for sql in editor.collected_sql:
        if not sql.startswith("--"):
            told.append(Statement(sql, does, line))
        elif sql.strip("- "):
            does = sql.removeprefix("-- ")
        line += sql.count("\n") + 1
    return told


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


def _lint_statements(told: list[Statement], atomic: bool) -> Iterator[UnsafeStep]:
    version: int = connection.pg_version  # type: ignore[attr-defined]
    for warned in run_squawk(_join_statements(told, atomic), version):
        about = next((each for each in reversed(told) if each.line <= warned.line), None)
        if about and warned.rule in LINT_RULES:
            yield from _apply_rule(warned.rule, about)
    for statement in told:
        if _UPDATE_OR_DELETE.match(statement.sql):
            yield from _apply_rule("change-of-many-rows", statement)


def _join_statements(told: list[Statement], atomic: bool) -> str:
    """The statements on the lines where they say they are."""
    lines: list[str] = []
    for statement in told:
        lines += [""] * (statement.line - len(lines)) + statement.sql.split("\n")
    return "\n".join(["BEGIN;", *lines[1:], "COMMIT;"] if atomic else lines)


def _apply_rule(rule: str, statement: Statement) -> Iterator[UnsafeStep]:
    """Nothing where the table is not there yet, or the statement is harmless though it does not look so."""
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


def _build_step(name: str, does: str, table: _Table | None) -> UnsafeStep:
    rule = LINT_RULES[name]
    severity = (
        rule.small_table_severity if table and table.bytes < LARGE_TABLE_BYTES else rule.large_table_severity
    )
    return UnsafeStep(severity, does, rule.reason, rule.safe_alternative)


def _find_table(sql: str) -> _Table | None:
    """The table that the statement is about, or whose index, if it is there already."""
    named = _TABLE_PATTERN.search(sql)
    if named is None:
        return None
    found = fetch_all(_TABLE_SIZE_SQL, named[1] or named[2].lower())
    return _Table(*found[0]) if found else None


def _is_widening_only(table: str, sql: str) -> bool:
    """PostgreSQL neither rewrites nor scans a table whose text may only become longer."""
    new = _ALTER_TYPE_PATTERN.search(sql)
    if new is None:
        return False
    found = fetch_all(_COLUMN_LENGTH_SQL, table, new[1])
    return bool(found) and (not new[3] or 0 < found[0][0] <= int(new[3]))


def _has_nonvolatile_default(sql: str) -> bool:
    """A default that is the same for every row, as the time is, is kept once and not written into each."""
    default = re.search(r" DEFAULT (.*)", sql)
    called = re.findall(r"(\w+)\s*\(", default[1].lower()) if default and "GENERATED" not in sql else []
    known = fetch_all("SELECT provolatile FROM pg_proc WHERE proname = ANY(%s)", called)
    return bool(known) and ("v",) not in known


def _is_nullable_addition(sql: str) -> bool:
    """A column that comes without values needs no row looked at."""
    return "ADD COLUMN" in sql and " DEFAULT " not in sql


def _explain_sql_error(exc: DatabaseError) -> UnsafeStep:
    """Refused by Django, or resting on what an earlier migration, not applied either, is to make."""
    told = str(exc).splitlines()[0]
    if isinstance(exc, NotSupportedError):
        return UnsafeStep(
            Severity.RED, "cannot be applied", told, "atomic = False, in a migration of its own"
        )
    return UnsafeStep(
        Severity.YELLOW, "its SQL cannot be told before", told, "--rehearse applies it to a copy"
    )
