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

from ops.preflight.finding import Light
from ops.preflight.rules import RULES
from ops.preflight.squawk import lint
from ops.sql.ask import ask

BIG = 16 * 2**20  # bytes: below it a scan or a rewrite is over in a fraction of a second
_TABLE = re.compile(
    r"\b(?:ALTER TABLE|DROP TABLE|TRUNCATE(?: TABLE)?|UPDATE|DELETE FROM|DROP INDEX(?: CONCURRENTLY)?|ON)\s+"
    r'(?:IF EXISTS\s+)?(?:ONLY\s+)?(?:"?\w+"?\.)?(?:"([^"]+)"|(\w+))',
    re.IGNORECASE,
)
_CHANGE = re.compile(r"\s*(UPDATE|DELETE)\b", re.IGNORECASE)
_NEW_TYPE = re.compile(r'COLUMN "([^"]+)" TYPE (text|varchar\((\d+)\)|varchar)( USING "\1"::[\w()]+)?;?\s*$')

_NAMED = """
SELECT t.relname, pg_table_size(t.oid) FROM pg_class c LEFT JOIN pg_index i ON indexrelid = c.oid
    JOIN pg_class t ON t.oid = coalesce(indrelid, c.oid)
WHERE c.oid = to_regclass(quote_ident(%s))
"""
_TEXT = """
SELECT atttypmod - 4 FROM pg_attribute
WHERE attrelid = to_regclass(quote_ident(%s)) AND attname = %s
    AND atttypid IN ('varchar'::regtype, 'text'::regtype)
"""


@dataclass(frozen=True)
class Statement:
    """A statement, what it does in the words of its operation, and the line where it begins."""

    sql: str
    does: str
    line: int


@dataclass(frozen=True)
class Unsafe:
    light: Light
    does: str
    why: str
    instead: str


@dataclass(frozen=True)
class _Table:
    name: str
    bytes: int


def judge(migration: Migration, before: ProjectState) -> list[Unsafe]:
    """What is not safe in the migration, applied to this state. Raises NoLinter."""
    found = list(_of_operations(migration))
    try:
        found += _of_sql(statements(migration, before), migration.atomic)
    except DatabaseError as exc:
        found.append(_unreadable(exc))
    return list(dict.fromkeys(found))


def statements(migration: Migration, before: ProjectState) -> list[Statement]:
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


def _of_operations(migration: Migration) -> Iterator[Unsafe]:
    for operation in _flat(migration.operations):
        if isinstance(operation, RunPython):
            yield _unsafe("python", operation.describe(), None)
        if not operation.reversible:
            yield _unsafe("no-way-back", operation.describe(), None)


def _flat(operations: Iterable[Operation]) -> Iterator[Operation]:
    for operation in operations:
        if isinstance(operation, SeparateDatabaseAndState):
            yield from _flat(operation.database_operations)
        else:
            yield operation


def _of_sql(told: list[Statement], atomic: bool) -> Iterator[Unsafe]:
    version: int = connection.pg_version  # type: ignore[attr-defined]
    for warned in lint(_text(told, atomic), version):
        about = next((each for each in reversed(told) if each.line <= warned.line), None)
        if about and warned.rule in RULES:
            yield from _judged(warned.rule, about)
    for statement in told:
        if _CHANGE.match(statement.sql):
            yield from _judged("change-of-many-rows", statement)


def _text(told: list[Statement], atomic: bool) -> str:
    """The statements on the lines where they say they are."""
    lines: list[str] = []
    for statement in told:
        lines += [""] * (statement.line - len(lines)) + statement.sql.split("\n")
    return "\n".join(["BEGIN;", *lines[1:], "COMMIT;"] if atomic else lines)


def _judged(rule: str, statement: Statement) -> Iterator[Unsafe]:
    """Nothing where the table is not there yet, or the statement is harmless though it does not look so."""
    table = _table_of(statement.sql)
    if table is None and _TABLE.search(statement.sql):
        return
    if rule == "changing-column-type" and table and _only_widens(table.name, statement.sql):
        return
    if rule == "adding-field-with-default" and _is_steady(statement.sql):
        return
    if rule in ("adding-foreign-key-constraint", "constraint-missing-not-valid") and _is_null(statement.sql):
        return
    yield _unsafe(rule, statement.does, table)


def _unsafe(name: str, does: str, table: _Table | None) -> Unsafe:
    rule = RULES[name]
    light = rule.small if table and table.bytes < BIG else rule.big
    return Unsafe(light, does, rule.why, rule.instead)


def _table_of(sql: str) -> _Table | None:
    """The table that the statement is about, or whose index, if it is there already."""
    named = _TABLE.search(sql)
    if named is None:
        return None
    found = ask(_NAMED, named[1] or named[2].lower())
    return _Table(*found[0]) if found else None


def _only_widens(table: str, sql: str) -> bool:
    """PostgreSQL neither rewrites nor scans a table whose text may only become longer."""
    new = _NEW_TYPE.search(sql)
    if new is None:
        return False
    found = ask(_TEXT, table, new[1])
    return bool(found) and (not new[3] or 0 < found[0][0] <= int(new[3]))


def _is_steady(sql: str) -> bool:
    """A default that is the same for every row, as the time is, is kept once and not written into each."""
    default = re.search(r" DEFAULT (.*)", sql)
    called = re.findall(r"(\w+)\s*\(", default[1].lower()) if default and "GENERATED" not in sql else []
    known = ask("SELECT provolatile FROM pg_proc WHERE proname = ANY(%s)", called)
    return bool(known) and ("v",) not in known


def _is_null(sql: str) -> bool:
    """A column that comes without values needs no row looked at."""
    return "ADD COLUMN" in sql and " DEFAULT " not in sql


def _unreadable(exc: DatabaseError) -> Unsafe:
    """Refused by Django, or resting on what an earlier migration, not applied either, is to make."""
    told = str(exc).splitlines()[0]
    if isinstance(exc, NotSupportedError):
        return Unsafe(Light.RED, "cannot be applied", told, "atomic = False, in a migration of its own")
    return Unsafe(Light.YELLOW, "its SQL cannot be told before", told, "--rehearse applies it to a copy")
