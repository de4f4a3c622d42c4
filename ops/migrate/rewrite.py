"""Rewrite a statement of a migration so that players keep reading and writing.

# Note [Safe equivalents]
An index is built CONCURRENTLY. A constraint is added NOT VALID, which looks at no row, and validated in a
transaction of its own, which lets players write. UNIQUE is an index that is built CONCURRENTLY and then made
a constraint. NOT NULL is a constraint too since PostgreSQL 18; before, SET NOT NULL looks at no row where a
valid CHECK says the same. This applies to each table that existed before the run, whatever its size.
"""

from __future__ import annotations

from ops.migrate.actions import rewrite_actions
from ops.migrate.catalog import Catalog, Table, unquote
from ops.migrate.sql_reader import Reader, split_top_level
from ops.migrate.steps import Place, Refusal, Rewritten, Step

# What PostgreSQL refuses inside a transaction, besides what is CONCURRENTLY; and what begins or ends one.
_OUTSIDE = ("VACUUM", "CREATE DATABASE", "DROP DATABASE", "ALTER SYSTEM", "CREATE TABLESPACE")
_CONTROL = ("BEGIN", "COMMIT", "END", "ROLLBACK", "START TRANSACTION", "ABORT", "SAVEPOINT", "RELEASE")


def rewrite(sql: str, catalog: Catalog) -> Rewritten:
    """Return the steps of the text, which may have several statements."""
    statements = split_top_level(sql, ";")
    results = [_rewrite_one(statement, catalog) for statement in statements]
    refusal = next((result.refusal for result in results if result.refusal), None)
    steps = tuple(step for result in results for step in result.steps)
    if [step.sql for step in steps] == statements and all(step.place == Place.SHARED for step in steps):
        steps = (Step(sql),)  # as it is written
    return Rewritten(steps, refusal)


def _rewrite_one(sql: str, catalog: Catalog) -> Rewritten:
    reader = Reader(sql)
    if reader.accept("ALTER", "TABLE"):
        reader.accept("IF", "EXISTS")
        reader.accept("ONLY")
        table = catalog.table(name) if (name := reader.name()) else None
        return rewrite_actions(sql, reader, table, name, catalog) if table and table.is_live else _as_is(sql)
    if reader.accept_any("CREATE INDEX", "CREATE UNIQUE INDEX"):
        return _rewrite_create_index(sql, reader, catalog)
    if reader.accept("DROP", "INDEX"):
        return _rewrite_drop_index(sql, reader, catalog)
    return _judge(sql, reader, catalog)


def _rewrite_create_index(sql: str, reader: Reader, catalog: Catalog) -> Rewritten:
    head = reader.read_up_to_here()
    is_concurrent, tail = reader.accept("CONCURRENTLY"), reader.rest()
    reader.accept("IF", "NOT", "EXISTS")
    name = reader.name() if reader.peek() != "ON" else ""
    reader.accept("ON")
    is_only = reader.accept("ONLY")  # of a partitioned table: made at once, and invalid
    table = catalog.table(reader.name())
    if is_concurrent and name:
        return Rewritten((Step(sql, Place.NONE),))
    if table is None or not table.is_live or is_only:
        return _as_is(sql)
    if not name or table.is_partitioned:
        return _refuse(sql, "require-concurrent-index-creation", table)
    return Rewritten((Step(f"{head} CONCURRENTLY {tail}", Place.NONE),))


def _rewrite_drop_index(sql: str, reader: Reader, catalog: Catalog) -> Rewritten:
    if reader.accept("CONCURRENTLY"):
        return Rewritten((Step(sql, Place.NONE),))
    reader.accept("IF", "EXISTS")
    name = reader.name()
    table = catalog.table(name)
    if table is None or not table.is_live:
        return _as_is(sql)
    if reader.rest() or table.is_partitioned:  # several, or CASCADE
        return _refuse(sql, "require-concurrent-index-deletion", table)
    return Rewritten((Step(f"DROP INDEX CONCURRENTLY IF EXISTS {name}", Place.NONE),))


def _judge(sql: str, reader: Reader, catalog: Catalog) -> Rewritten:
    """Judge a statement that has no equivalent: it is run as it is, or refused."""
    if reader.accept("VACUUM"):
        options = reader.group().upper().split() if reader.peek() == "(" else []
        is_full = reader.accept("FULL") or any("FULL" in option for option in options)
        reader.accept_any("FREEZE", "VERBOSE", "ANALYZE")
        refused = _refuse(sql, "rewriting-table", catalog.table(reader.name() or '""')) if is_full else None
        return Rewritten((Step(sql, Place.NONE),), refused.refusal if refused else None)
    if reader.accept("CLUSTER"):
        return _refuse(sql, "rewriting-table", catalog.table(reader.name() or '""'))
    if reader.accept("REINDEX"):
        return _judge_reindex(sql, reader, catalog)
    if reader.accept("REFRESH", "MATERIALIZED", "VIEW"):
        if reader.accept("CONCURRENTLY"):
            return _as_is(sql)
        return _refuse(sql, "refreshing-view", catalog.table(reader.name()))
    if any(Reader(sql).accept_any(phrase) for phrase in (*_OUTSIDE, *_CONTROL)):
        return Rewritten((Step(sql, Place.NONE),))
    return _judge_changes(sql, catalog)


def _judge_reindex(sql: str, reader: Reader, catalog: Catalog) -> Rewritten:
    reader.group()
    reader.accept_any("TABLE", "INDEX")
    if reader.accept("CONCURRENTLY") or "CONCURRENTLY" in reader.keywords():
        return Rewritten((Step(sql, Place.NONE),))
    return _refuse(sql, "require-concurrent-reindex", catalog.table(reader.name()))


def _judge_changes(sql: str, catalog: Catalog) -> Rewritten:
    """Judge UPDATE, DELETE and MERGE, which may follow WITH."""
    reader = Reader(sql)
    if reader.accept("WITH"):
        while reader.peek() and reader.peek() not in ("UPDATE", "DELETE", "MERGE", "INSERT", "SELECT"):
            reader.position += 1
            reader.group()
    if not reader.accept_any("UPDATE", "DELETE FROM", "MERGE INTO"):
        return _as_is(sql)
    reader.accept("ONLY")
    name = reader.name()
    table = catalog.table(name)
    if table and table.is_large and (column := _filled_column(reader)):
        if catalog.is_looking:
            catalog.look_for_null(table, name, column)
        if (table.oid, unquote(column)) in catalog.without_null:
            return Rewritten(())
    return _refuse(sql, "change-of-many-rows", table)


def _filled_column(reader: Reader) -> str:
    """Return the column of ``SET a = 1 WHERE a IS NULL``, which Django executes before each SET NOT NULL."""
    if not reader.accept("SET"):
        return ""
    column = reader.name()
    return column if reader.rest().endswith(f"WHERE {column} IS NULL") else ""


def _as_is(sql: str) -> Rewritten:
    return Rewritten((Step(sql),))


def _refuse(sql: str, rule: str, table: Table | None) -> Rewritten:
    """Run it as it is, with a refusal if the table is live."""
    if table is None or not table.is_live:
        return _as_is(sql)
    return Rewritten((Step(sql),), Refusal(rule, table.name, table.is_large, sql))
