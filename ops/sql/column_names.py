"""The names of a column's constraints and indexes, which stay as they are when the column is renamed.

# Note [Names that follow a column]
PostgreSQL and Django make the name of a constraint or an index from the name of its column. Left alone, they
would mislead once another column has that name: on PostgreSQL 18 ``cards_rarity_not_null`` would be the NOT
NULL of the retired column. And a later migration could not create one of that name. So they are renamed with
the column.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.backends.utils import names_digest, split_identifier
from psycopg import sql

from ops.sql.query import fetch_all

Renames = Sequence[tuple[str, str]]  # pairs of a name before and a name after, in order

MAX_NAME_BYTES = 63
RETIRED_SUFFIX = "__retired"
_LABELS = ("not_null", "check", "key", "fkey", "excl", "idx")
# ``column`` is None where the constraint or index is not of one column alone.
_NAMES_SQL = """
SELECT conname, conname, attname, false FROM pg_constraint
    LEFT JOIN pg_attribute ON attrelid = conrelid AND conkey = ARRAY[attnum]
WHERE conrelid = to_regclass(%(table)s) AND contype IN ('c', 'f', 'n') AND coninhcount = 0
UNION ALL
SELECT relname, indexrelid::regclass::text, attname, true
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    LEFT JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0] AND indnkeyatts = 1
WHERE indrelid = to_regclass(%(table)s)
ORDER BY 1
"""


@dataclass(frozen=True)
class _Name:
    """The name of a constraint, or of an index and of the constraint that it belongs to."""

    name: str
    qualified: str
    column: str | None
    is_index: bool


def retired_name(name: str) -> str:
    """Return the name of a retired column, constraint or index; at most 63 bytes."""
    return suffixed_name(name, RETIRED_SUFFIX)


def suffixed_name(name: str, suffix: str) -> str:
    """Return the name with the suffix; at most 63 bytes."""
    return name.encode()[: MAX_NAME_BYTES - len(suffix)].decode(errors="ignore") + suffix


def column_exists(schema_editor: Any, table: str, column: str) -> bool:
    """Whether the table has a column of that name."""
    query = "SELECT FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = %s AND NOT attisdropped"
    return bool(fetch_all(query, schema_editor.quote_name(table), column, using=schema_editor.connection))


def rename_statements(
    schema_editor: Any, table: str, columns: Renames, given: Renames, kept: Container[str] = ()
) -> list[str]:
    """Return the statements that rename constraints and indexes of the table, in this order.

    ``given`` are those that got their names from a person. The others, but for ``kept``, are renamed if their
    names are made from the name of a column in ``columns``.
    """
    there = _read_names(schema_editor, table)
    taken, statements = set(there), []
    for before, after, is_given in [
        *((before, after, True) for before, after in given),
        *((before, after, False) for before, after in _default_renames(schema_editor, table, there, columns)),
    ]:
        is_settled = before in kept or before in dict(given) or after in taken
        if before not in there or (is_settled and not is_given):
            continue
        taken = taken - {before} | {after}
        statements.append(_rename(table, there[before], after, schema_editor))
    return statements


def _read_names(schema_editor: Any, table: str) -> dict[str, _Name]:
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(_NAMES_SQL, {"table": schema_editor.quote_name(table)})
        return {row[0]: _Name(*row) for row in cursor.fetchall()}


def _default_renames(
    schema_editor: Any, table: str, there: dict[str, _Name], columns: Renames
) -> Iterator[tuple[str, str]]:
    for before, after in columns:
        for name in there.values():
            if name.column == before and (
                renamed := _rename_default(schema_editor, table, name.name, before, after)
            ):
                yield name.name, renamed


def _rename_default(schema_editor: Any, table: str, name: str, before: str, after: str) -> str | None:
    """Return the name that PostgreSQL or Django, which made it, makes for the other column; or None."""
    relation = split_identifier(table)[1].strip('"')
    number = name[len(name.rstrip("0123456789")) :]  # of the second of two that are named alike, and so on
    for label in (f"{label}{number}" for label in _LABELS):
        if name == _object_name(relation, before, label):
            return _object_name(relation, after, label)
    _, digest, suffix = name.partition(names_digest(relation, before, length=8))
    if digest and schema_editor._create_index_name(table, [before], suffix) == name:
        return str(schema_editor._create_index_name(table, [after], suffix))
    return None


def _object_name(table: str, column: str, label: str) -> str:
    """Return the name that PostgreSQL chooses: see makeObjectName in src/backend/commands/indexcmds.c."""
    parts, room = [table.encode(), column.encode()], MAX_NAME_BYTES - len(label) - 2
    while sum(map(len, parts)) > room:
        longest = 0 if len(parts[0]) > len(parts[1]) else 1
        parts[longest] = parts[longest][:-1]
    return "_".join([*(part.decode(errors="ignore") for part in parts), label])


def _rename(table: str, name: _Name, after: str, schema_editor: Any) -> str:
    new = sql.Identifier(after).as_string()
    if name.is_index:
        return f"ALTER INDEX {name.qualified} RENAME TO {new}"
    old = sql.Identifier(name.name).as_string()
    return f"ALTER TABLE {schema_editor.quote_name(table)} RENAME CONSTRAINT {old} TO {new}"
