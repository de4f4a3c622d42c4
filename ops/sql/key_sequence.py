"""The sequence that gives a key its values, an identity or a default: what hands it to another column."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from ops.sql.column_names import suffixed_name
from ops.sql.integers import max_integer
from ops.sql.query import fetch_all

# The first and the last value, the type's own where nobody has set another, follow the type.
_SEQUENCE_SQL = """
SELECT nspname, relname, attidentity::text, pg_get_expr(adbin, adrelid), format_type(seqtypid, NULL),
    seqstart, seqincrement, seqmin, seqmax, seqcache, seqcycle, ARRAY(
        SELECT format('GRANT %%s ON SEQUENCE {} TO %%s%%s', privilege_type,
            CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
            CASE WHEN is_grantable THEN ' WITH GRANT OPTION' END)
        FROM aclexplode(relacl) WHERE grantee <> relowner)
FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    JOIN pg_depend ON refclassid = 'pg_class'::regclass AND refobjid = attrelid AND refobjsubid = attnum
        AND classid = 'pg_class'::regclass AND deptype IN ('a', 'i')
    JOIN pg_sequence ON seqrelid = objid JOIN pg_class c ON c.oid = objid
    JOIN pg_namespace n ON n.oid = relnamespace
WHERE attrelid = to_regclass(%s) AND attname = %s
"""


@dataclass(frozen=True)
class KeySequence:
    """A sequence that a column owns; ``identity`` is that of pg_attribute, empty for a default."""

    schema: str
    name: str
    identity: str
    default: str | None
    type: str
    start: int
    increment: int
    minimum: int
    maximum: int
    cache: int
    is_cycle: bool
    grants: list[str]

    @property
    def quoted(self) -> str:
        return self._quote(self.name)

    def hand_over(self, table: str, column: str, other: str, kind: str) -> Iterator[str]:
        """Yield the statements that make it the sequence of another column, of this type of integer.

        The next value stays the same. Another session cannot take it meanwhile: to alter a sequence locks it.
        """
        yield f"ALTER SEQUENCE {self.quoted} AS {kind}"
        if not self.identity:
            yield f"ALTER SEQUENCE {self.quoted} OWNED BY {table}.{_name(other)}"
            yield f"ALTER TABLE {table} ALTER COLUMN {_name(column)} DROP DEFAULT"
            yield f"ALTER TABLE {table} ALTER COLUMN {_name(other)} SET DEFAULT {self.default}"
            return
        # PostgreSQL gives the sequence of an identity to no other column.
        new = self._quote(suffixed_name(self.name, "__new"))
        yield (
            f"ALTER TABLE {table} ALTER COLUMN {_name(other)} ADD GENERATED"
            f" {'ALWAYS' if self.identity == 'a' else 'BY DEFAULT'} AS IDENTITY (SEQUENCE NAME {new}"
            f" {self._options(kind)})"
        )
        yield f"SELECT setval({_literal(new)}, last_value, is_called) FROM {self.quoted}"  # noqa: S608
        yield f"ALTER TABLE {table} ALTER COLUMN {_name(column)} DROP IDENTITY"
        yield f"ALTER SEQUENCE {new} RENAME TO {_name(self.name)}"
        yield from (grant.replace("{}", self.quoted) for grant in self.grants)

    def _options(self, kind: str) -> str:
        maximum, minimum = self.maximum, self.minimum
        if maximum == max_integer(self.type):
            maximum = max_integer(kind)
        if minimum == -max_integer(self.type) - 1:
            minimum = -max_integer(kind) - 1
        cycle = "CYCLE" if self.is_cycle else "NO CYCLE"
        return (
            f"INCREMENT {self.increment} MINVALUE {minimum} MAXVALUE {maximum} START {self.start}"
            f" CACHE {self.cache} {cycle}"
        )

    def _quote(self, name: str) -> str:
        return sql.Identifier(self.schema, name).as_string()


def read_key_sequence(using: Any, table: str, column: str) -> KeySequence | None:
    """Return the sequence that the column owns, or None."""
    rows = fetch_all(_SEQUENCE_SQL, using.ops.quote_name(table), column, using=using)
    return KeySequence(*rows[0]) if rows else None


def last_value(using: Any, sequence: KeySequence) -> int:
    """Return the value that the sequence has given last, or gives first."""
    [(value,)] = fetch_all(f"SELECT last_value FROM {sequence.quoted}", using=using)  # noqa: S608
    return int(value)


def _name(name: str) -> str:
    return sql.Identifier(name).as_string()


def _literal(value: str) -> str:
    return sql.Literal(value).as_string()
