"""The SQL by which the primary key of a table moves to another column, in which it has a wider type.

# Note [How a key moves]
The column that becomes the key has a unique index before, and each foreign key that refers to the key has a
counterpart that refers to that column. So the move looks at no row. DROP CONSTRAINT drops the index of a
primary key, and the foreign keys need it: the column that was the key has a second unique index, which is
its key again on the way back. There the foreign keys are added NOT VALID, since those that referred to it had
to go: a key may have values meanwhile that do not fit it. What the move has used up is made again afterwards,
beside players.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.backends.utils import split_identifier
from psycopg import sql

from ops.sql.column_names import retired_name, suffixed_name
from ops.sql.dual_write import DualWrite
from ops.sql.foreign_keys import NEW_SUFFIX, ForeignKeyConstraint, read_referring_keys
from ops.sql.key_sequence import read_key_sequence
from ops.sql.query import fetch_all

_PRIMARY_KEY_SQL = """
SELECT conname FROM pg_constraint WHERE contype = 'p' AND conrelid = to_regclass(%s)
"""
_INDEX_SQL = """
SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
WHERE indrelid = to_regclass(%s) AND attname = %s AND indnatts = 1 AND indisunique AND indisvalid
    AND indpred IS NULL AND indimmediate
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u'))
ORDER BY indexrelid LIMIT 1
"""
_TYPE_SQL = """
SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = %s
"""


@dataclass(frozen=True)
class KeyMove:
    """The move of the primary key from one column to another; the names are those before the renaming.

    Afterwards the column that becomes the key has the name that the key has now.
    """

    table: str
    key: str
    other: str

    def statements(self, using: Any) -> tuple[list[str], list[str], list[str]]:
        """Return the other tables to lock, quoted, and what comes before and after the renaming."""
        quoted = using.ops.quote_name(self.table)
        referring = read_referring_keys(using, self.table, self.key)
        others = read_referring_keys(using, self.table, self.other)
        name = read_primary_key(using, self.table)
        index = find_unique_index(using, self.table, self.other) or _new_name(name)
        tables = list(dict.fromkeys(each.table for each in referring if not each.is_own))
        before = [
            *(each.drop() for each in referring),
            f"ALTER TABLE {quoted} DROP CONSTRAINT {_name(name)}",
            *self._hand_over_sequence(using, quoted),
        ]
        after = [f"ALTER TABLE {quoted} ADD CONSTRAINT {_name(name)} PRIMARY KEY USING INDEX {_name(index)}"]
        for each in referring:
            counterpart = each.find_like(others)
            after.append(
                counterpart.rename(each.name)
                if counterpart
                else each.add(each.name, quoted, self.key, is_checked=False)
            )
        return tables, before, after

    def _hand_over_sequence(self, using: Any, quoted: str) -> Iterator[str]:
        if sequence := read_key_sequence(using, self.table, self.key):
            kind = read_column_type(using, self.table, self.other)
            yield from sequence.hand_over(quoted, self.key, self.other, kind)


def prepare_statements(using: Any, key: DualWrite) -> list[str]:
    """Return what the step retire needs: see Note [How a key moves]."""
    quoted, name = using.ops.quote_name(key.table), read_primary_key(using, key.table)
    referring = read_referring_keys(using, key.table, key.old)
    return [
        f"CREATE UNIQUE INDEX {_name(new)} ON {quoted} ({_name(column)})"
        for new, column in ((_new_name(name), key.new), (retired_name(name), key.old))
    ] + [each.add(each.new_name, quoted, key.new, is_checked=True) for each in referring]


def prepare_late_statements(using: Any, key: DualWrite) -> list[str]:
    """Return what the foreign keys need that were added after ``prepare_statements``."""
    quoted = using.ops.quote_name(key.table)
    return [each.add(each.new_name, quoted, key.new, is_checked=True) for each in list_unprepared(using, key)]


def unprepare_statements(using: Any, key: DualWrite) -> list[str]:
    """Return what takes ``prepare_statements`` back."""
    name = read_primary_key(using, key.table)
    schema = using.ops.quote_name(key.table).rpartition(".")[0]
    prefix = f"{schema}." if schema else ""
    return [
        *(each.drop() for each in read_referring_keys(using, key.table, key.new)),
        *(f"DROP INDEX {prefix}{_name(each)}" for each in (_new_name(name), retired_name(name))),
    ]


def validate_statements(using: Any, key: DualWrite) -> list[str]:
    """Return what checks the foreign keys that the way back of the step retire has added."""
    return [each.validate(each.name) for each in read_referring_keys(using, key.table, key.old)]


def list_unprepared(using: Any, key: DualWrite) -> list[ForeignKeyConstraint]:
    """Return the foreign keys that refer to the old column, and have no counterpart for the new one."""
    referring, others = (read_referring_keys(using, key.table, name) for name in (key.old, key.new))
    return [each for each in referring if not each.find_like(_valid(others))]


def read_primary_key(using: Any, table: str) -> str:
    """Return the name of the primary key; that which PostgreSQL would choose if there is no table yet."""
    rows = fetch_all(_PRIMARY_KEY_SQL, using.ops.quote_name(table), using=using)
    return str(rows[0][0]) if rows else suffixed_name(split_identifier(table)[1].strip('"'), "_pkey")


def read_column_type(using: Any, table: str, column: str) -> str:
    """Return the type of the column; bigint if it is not there yet."""
    rows = fetch_all(_TYPE_SQL, using.ops.quote_name(table), column, using=using)
    return str(rows[0][0]) if rows else "bigint"


def find_unique_index(using: Any, table: str, column: str) -> str | None:
    """Return a unique index of the column alone that is no constraint's."""
    rows = fetch_all(_INDEX_SQL, using.ops.quote_name(table), column, using=using)
    return str(rows[0][0]) if rows else None


def _valid(keys: Sequence[ForeignKeyConstraint]) -> list[ForeignKeyConstraint]:
    return [each for each in keys if each.is_valid]


def _new_name(name: str) -> str:
    return suffixed_name(name, NEW_SUFFIX)


def _name(name: str) -> str:
    return sql.Identifier(name).as_string()
