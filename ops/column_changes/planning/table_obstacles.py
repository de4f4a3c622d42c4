"""What is in the way of a column change in its table: each is told in words, before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeGuard

from django.db import connection

from ops.column_changes.declaration import ColumnChange
from ops.column_changes.planning.key_obstacles import find_key_obstacles
from ops.column_changes.planning.table import ChangedTable, WatchedTable
from ops.command_lines import manage_command
from ops.sql.column_followers import find_publications
from ops.sql.column_names import retired_name
from ops.sql.dual_write_defaults import is_null_for_null

_TABLE_SQL = """
SELECT relkind, relpersistence, relispartition,
    EXISTS (SELECT FROM pg_inherits WHERE oid IN (inhrelid, inhparent))
FROM pg_class WHERE oid = %s
"""
_RULES_SQL = "SELECT rulename FROM pg_rewrite WHERE ev_class = %s ORDER BY rulename"
_KINDS = {"p": "partitioned", "f": "a foreign table", "v": "a view", "m": "a materialized view"}
_FOREIGN_KEYS_SQL = """
SELECT conrelid::regclass::text, conname FROM pg_constraint
WHERE contype = 'f' AND confrelid = %s AND EXISTS (SELECT FROM pg_attribute
    WHERE attrelid = confrelid AND attnum = ANY(confkey) AND attname = %s)
ORDER BY 1, 2
"""
_KEYS_SQL = """
SELECT array_agg(attname::text), bool_or(indisprimary), bool_or(indisreplident)
FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY((indkey::int2[])[0:indnkeyatts - 1])
WHERE indrelid = %s AND indisunique AND indisvalid AND indpred IS NULL AND indexprs IS NULL
GROUP BY indexrelid
"""


def find_obstacles(table: ChangedTable) -> list[str]:
    """Return what is in the way, in words."""
    if first := [*_check_kind(table), *_check_missing(table)]:
        return first
    found = [obstacle for check in _PAIR_CHECKS for obstacle in check(table)]
    found += [obstacle for check in _CHECKS for obstacle in check(table)]
    return found + find_key_obstacles(table)


def find_removal_obstacles(table: WatchedTable) -> list[str]:
    """Return what is in the way of removing the column, in words."""
    if first := [*_check_kind(table), *_check_missing(table)]:
        return first
    return [obstacle for check in _CHECKS for obstacle in check(table)]


def is_key(table: WatchedTable) -> TypeGuard[ChangedTable]:
    """Whether the change moves the primary key, with its sequence and the foreign keys that refer to it."""
    return isinstance(table, ChangedTable) and table.change.is_key()


def _check_missing(table: WatchedTable) -> Iterator[str]:
    if missing := next((name for name in table.needed if name not in table.columns), None):
        yield (
            f"The table {table.name} has no column {missing} in this database. Apply the migrations first:"
            f" {manage_command('migrate')}"
        )


def _check_kind(table: WatchedTable) -> Iterator[str]:
    [(kind, persistence, is_partition, inherits)] = table.query(_TABLE_SQL)
    found = [
        _KINDS.get(kind),
        "a partition of another table" if is_partition else None,
        "a table that inherits from another, or from which another inherits" if inherits else None,
        "a temporary table" if persistence == "t" else None,
    ]
    if problem := next(filter(None, found), None):
        yield f"{table.name} is {problem}. A column change does not support that: write it by hand."


def _check_row_security(table: ChangedTable) -> Iterator[str]:
    if table.query("SELECT row_security_active(%s)") == [(True,)]:
        yield (
            f"Row-level security hides rows of {table.name} from this role, so the checks would not see all"
            " rows. Use the role that owns the table, without FORCE ROW LEVEL SECURITY."
        )


def _check_rules(table: ChangedTable) -> Iterator[str]:
    if rules := [name for (name,) in table.query(_RULES_SQL)]:
        yield f"{table.name} has the rule {', '.join(rules)}. Use a trigger instead of the rule."


def _check_generated(table: WatchedTable) -> Iterator[str]:
    for name in table.used:
        if name in table.columns and table.columns[name].generated:
            yield (
                f"{table.name}.{name} is a generated column: a trigger cannot write it, and does not always"
                " see its value. Use the columns that it is computed from."
            )
    for each in table.depending_on(table.old, "default value"):
        yield (
            f"A generated column uses {table.old} ({each.name}), so the old column could never be dropped."
            " First replace it by one that uses another column, or by a trigger."
        )


def _check_sequences(table: WatchedTable) -> Iterator[str]:
    for name in table.replaced:
        column = table.columns.get(name)
        if name == table.old and is_key(table):
            continue  # its sequence goes with the key
        if column and column.identity:
            yield (
                f"{table.name}.{name} is an identity column, whose values come from a sequence. A column"
                " change does not support that."
            )
        elif column and (column.default or "").startswith("nextval("):
            yield (
                f"{table.name}.{name} gets its values from a sequence: {column.default}. A column change does"
                " not support that."
            )


def _check_key_index(table: ChangedTable) -> Iterator[str]:
    key = table.change.model._meta.pk.column
    if [key] not in [columns for columns, *_ in table.query(_KEYS_SQL)]:
        yield (
            f"{table.name} has no primary key and no unique index on {key}, which a backfill needs."
            " Add it first."
        )


def _check_primary_key(table: WatchedTable) -> Iterator[str]:
    for columns, is_primary, _ in table.query(_KEYS_SQL):
        for name in table.replaced:
            if is_primary and name in columns and not (is_key(table) and columns == [table.old]):
                yield (
                    f"{table.name}.{name} is the primary key or a part of it. A column change supports only"
                    " integers that become wider, with swap = True, and no key of several columns."
                )


def _check_foreign_keys(table: WatchedTable) -> Iterator[str]:
    for name in [table.new] if is_key(table) else table.replaced:
        for other, constraint in table.query(_FOREIGN_KEYS_SQL, name):
            yield (
                f"The foreign key {constraint} of {other} refers to {table.name}.{name}. Let it refer to"
                " another column first."
            )


def _check_triggers(table: ChangedTable) -> Iterator[str]:
    for name, function, is_before_row, _ in table.list_triggers(table.used):
        if not is_before_row:
            continue
        yield (
            f"The trigger {name} of {table.name}, by its function {function}(), sets or reads one of"
            f" {', '.join(table.used)} before a row is written: the two columns might not agree. Drop it by a"
            " migration first, or let it use other columns."
        )


def _check_publications(table: WatchedTable) -> Iterator[str]:
    if table.change.keeps_name():
        return  # retire makes them anew
    for name in find_publications(connection.schema_editor(), table.column.table, table.old):
        yield (
            f"The publication {name} names {table.name}.{table.old} in its list of columns or in its filter."
            " Its subscribers would fail when the column gets another name. Take the column out of it first."
        )


def _check_replica_identity(table: WatchedTable) -> Iterator[str]:
    for columns, _, is_identity in table.query(_KEYS_SQL):
        if is_identity and table.old in columns:
            yield (
                f"{table.old} is in the replica identity of {table.name}, which is lost when the column is"
                f" dropped. Choose another one first: ALTER TABLE ... REPLICA IDENTITY DEFAULT."
            )


def _check_default(table: ChangedTable) -> Iterator[str]:
    column = table.columns.get(table.new)
    if column and column.default and not column.generated and "nextval(" not in column.default:
        yield (
            f"{table.name}.{table.new} has the default {column.default} in the database. In a new row that"
            " names only the old column it would look like a value. Drop the default by a migration first."
        )


def _check_retired_name(table: WatchedTable) -> Iterator[str]:
    name = retired_name(table.old)
    if name in table.columns:
        yield (
            f"{table.name} has a column {name} already, which is the name that {table.old} gets at the step"
            " retire. Rename it or drop it first."
        )


def _check_collations(table: ChangedTable) -> Iterator[str]:
    old, new = table.columns[table.old].collation, _new_collation(table)
    if old and new and old != new:
        yield (
            f"PostgreSQL cannot compare {table.old} and {table.new}, which have the collations {old} and"
            f" {new}. Use Collate() in get_new_value() and get_old_value(), or set db_collation={old!r}."
        )


def _new_collation(table: ChangedTable) -> str | None:
    """Return the collation of the new column where nothing else decides how the two are compared."""
    if table.change.get_new_value is not ColumnChange.get_new_value:
        return None
    if table.new in table.columns:
        return table.columns[table.new].collation
    return getattr(table.change().new_field(), "db_collation", None)


def _check_null(table: ChangedTable) -> Iterator[str]:
    new = table.change().new_field()
    if new.null or table.dual_write.sources or table.columns[table.old].is_not_null:
        return
    types = {table.old: table.columns[table.old].type, table.new: str(new.db_type(connection))}
    if is_null_for_null(table.dual_write, types):
        yield (
            f"{table.old} may be NULL, and {table.new} may not. Set null=True for {table.change.new}, or give"
            " a value for NULL in get_new_value(), for example by Coalesce."
        )


_CHECKS: tuple[Callable[[WatchedTable], Iterator[str]], ...] = (
    _check_generated,
    _check_sequences,
    _check_primary_key,
    _check_foreign_keys,
    _check_publications,
    _check_replica_identity,
    _check_retired_name,
)
_PAIR_CHECKS: tuple[Callable[[ChangedTable], Iterator[str]], ...] = (
    _check_row_security,
    _check_rules,
    _check_key_index,
    _check_triggers,
    _check_default,
    _check_collations,
    _check_null,
)
