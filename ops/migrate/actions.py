"""Rewrite ALTER TABLE of a live table, action by action: see Note [Safe equivalents]."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ops.migrate.catalog import Catalog, Table
from ops.migrate.columns import split_column
from ops.migrate.sql_reader import Reader, split_top_level
from ops.migrate.steps import Place, Refusal, Rewritten, Step

_REWRITES = ("SET TABLESPACE", "SET LOGGED", "SET UNLOGGED", "SET ACCESS METHOD")
_CONSTRAINTS = ("CHECK", "FOREIGN KEY", "UNIQUE", "PRIMARY KEY", "EXCLUDE", "NOT NULL")
_KEY_RULES = {"UNIQUE": "disallowed-unique-constraint", "PRIMARY KEY": "adding-serial-primary-key-field"}


@dataclass(frozen=True)
class _Alteration:
    """One action, and the statement up to it."""

    head: str
    action: str
    name: str
    table: Table
    catalog: Catalog

    def step(self, action: str, place: Place = Place.SHARED) -> Step:
        return Step(f"{self.head} {action}", place)

    def as_is(self) -> Rewritten:
        return Rewritten((self.step(self.action),))

    def refuse(self, rule: str) -> Rewritten:
        refusal = Refusal(rule, self.table.name, self.table.is_large, f"{self.head} {self.action}")
        return Rewritten((self.step(self.action),), refusal)


def rewrite_actions(sql: str, reader: Reader, table: Table, name: str, catalog: Catalog) -> Rewritten:
    """Rewrite the statement, whose reader stands behind the table's name."""
    head, actions = reader.read_up_to_here(), split_top_level(reader.rest(), ",")
    results = [_rewrite_action(_Alteration(head, action, name, table, catalog)) for action in actions]
    refusal = next((result.refusal for result in results if result.refusal), None)
    if all(len(result.steps) == 1 and result.steps[0].place == Place.SHARED for result in results):
        # One statement locks once; but a validation alone lets players write.
        is_validation = len(actions) == 1 and Reader(actions[0]).accept("VALIDATE", "CONSTRAINT")
        return Rewritten((Step(sql, Place.OWN if is_validation else Place.SHARED),), refusal)
    return Rewritten(tuple(step for result in results for step in result.steps), refusal)


def _rewrite_action(each: _Alteration) -> Rewritten:
    reader = Reader(each.action)
    if reader.accept_any(*_REWRITES):
        return each.refuse("rewriting-table")
    if reader.accept("DETACH", "PARTITION"):
        place = Place.NONE if "CONCURRENTLY" in reader.keywords() else Place.SHARED
        return Rewritten((each.step(each.action, place),))
    if reader.accept("ALTER"):
        reader.accept("COLUMN")
        return _rewrite_alter_column(each, reader.name(), reader)
    if not reader.accept("ADD"):
        return each.as_is()
    constraint = reader.name() if reader.accept("CONSTRAINT") else ""
    if kind := reader.accept_any(*_CONSTRAINTS):
        return _rewrite_add_constraint(each, constraint, kind, reader)
    reader.accept("COLUMN")
    return each.as_is() if reader.accept("IF", "NOT", "EXISTS") else _rewrite_add_column(each, reader)


def _rewrite_add_constraint(each: _Alteration, name: str, kind: str, reader: Reader) -> Rewritten:
    if kind == "EXCLUDE":
        return each.refuse("exclusion-constraint")
    if kind in _KEY_RULES:
        return _rewrite_add_key(each, name, kind, reader)
    words = list(reader.keywords())
    if words[-2:] == ["NOT", "VALID"] or words[-2:] == ["NOT", "ENFORCED"]:
        return each.as_is()
    is_foreign = kind == "FOREIGN KEY"
    cannot = is_foreign and each.table.is_partitioned and not each.catalog.has_not_null_constraints
    if not name or cannot:
        return each.refuse("adding-foreign-key-constraint" if is_foreign else "constraint-missing-not-valid")
    return Rewritten(tuple(_not_valid(each, each.action, name)))


def _not_valid(each: _Alteration, action: str, name: str) -> Iterator[Step]:
    yield each.step(f"{action} NOT VALID")
    yield each.step(f"VALIDATE CONSTRAINT {name}", Place.OWN)


def _rewrite_add_key(each: _Alteration, name: str, kind: str, reader: Reader) -> Rewritten:
    """UNIQUE [NULLS NOT DISTINCT] (a, b) [INCLUDE (c)] [DEFERRABLE ...], or PRIMARY KEY (a, b) ..."""
    if reader.accept("USING", "INDEX"):
        return each.as_is()
    nulls = reader.accept_any("NULLS NOT DISTINCT", "NULLS DISTINCT")
    columns = reader.group()
    include = f" INCLUDE {reader.group()}" if reader.accept("INCLUDE") else ""
    is_simple = reader.peek() in ("", "DEFERRABLE", "NOT", "INITIALLY") and "WITHOUT" not in columns.upper()
    if kind == "PRIMARY KEY":
        is_simple = is_simple and _are_not_null(each, columns)
    if not name or not is_simple or each.table.is_partitioned:
        return each.refuse(_KEY_RULES[kind])
    index = f"{columns}{include}" + (f" {nulls}" if nulls else "")
    return Rewritten(tuple(_key_from_index(each, name, kind, index, reader.rest())))


def _key_from_index(each: _Alteration, name: str, kind: str, index: str, rest: str) -> Iterator[Step]:
    yield Step(f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON {each.name} {index}", Place.NONE)
    yield each.step(f"ADD CONSTRAINT {name} {kind} USING INDEX {name} {rest}".rstrip())


def _are_not_null(each: _Alteration, columns: str) -> bool:
    """Whether PostgreSQL would look at no row to make these columns NOT NULL."""
    found = [each.catalog.column(each.table, column) for column in split_top_level(columns[1:-1], ",")]
    return all(column and column.is_not_null and not column.unvalidated for column in found)


def _rewrite_alter_column(each: _Alteration, column: str, reader: Reader) -> Rewritten:
    found = each.catalog.column(each.table, column)
    if reader.accept("SET", "NOT", "NULL"):
        if found and found.unvalidated:
            return Rewritten((each.step(f"VALIDATE CONSTRAINT {found.unvalidated}", Place.OWN),))
        return each.as_is() if found and found.is_not_null else Rewritten(tuple(_set_not_null(each, column)))
    if each.table.is_large and reader.accept_any("TYPE", "SET DATA TYPE", "SET EXPRESSION"):
        if each.catalog.rewrites(each.table, each.name, each.action):
            return each.refuse("changing-column-type")
        if found and found.has_check:
            return each.refuse("checking-changed-column")
    return each.as_is()


def _set_not_null(each: _Alteration, column: str) -> Iterator[Step]:
    name = each.catalog.free_name(each.table, column, "not_null")
    if each.catalog.has_not_null_constraints:
        yield from _not_valid(each, f"ADD CONSTRAINT {name} NOT NULL {column}", name)
        return
    yield from _not_valid(each, f"ADD CONSTRAINT {name} CHECK ({column} IS NOT NULL)", name)
    yield each.step(f"ALTER COLUMN {column} SET NOT NULL")
    yield each.step(f"DROP CONSTRAINT {name}")


def _rewrite_add_column(each: _Alteration, reader: Reader) -> Rewritten:
    """Add the column first, and then what needs to look at every row."""
    column = reader.name()
    head = Reader(each.action).sql[: len(reader.read_up_to_here())]
    parts = split_column(reader.rest())
    plain = f"{head} {parts.definition}"
    if each.table.is_large and each.catalog.rewrites(each.table, each.name, plain):
        return each.refuse("adding-generated-field" if parts.is_generated else "adding-field-with-default")
    if parts.is_primary_key or (parts.unique is not None and each.table.is_partitioned):
        return each.refuse("adding-serial-primary-key-field")
    later: list[Step] = []
    for check, check_name in parts.checks:
        name = check_name or each.catalog.free_name(each.table, column, "check")
        later += _not_valid(each, f"ADD CONSTRAINT {name} {check}", name)
    if parts.unique is not None:
        name = each.catalog.free_name(each.table, column, "key")
        later += _key_from_index(each, name, "UNIQUE", f"({column}){parts.unique}", "")
    if parts.references and parts.has_default:
        name = parts.references_name or each.catalog.free_name(each.table, column, "fkey")
        action = f"ADD CONSTRAINT {name} FOREIGN KEY ({column}) {parts.references}"
        later += _not_valid(each, action, name)
    elif parts.references:  # every value is NULL, so that no row is checked
        named = f"CONSTRAINT {parts.references_name} " if parts.references_name else ""
        plain = f"{plain} {named}{parts.references}"
    return Rewritten((each.step(plain), *later) if later else (each.step(each.action),))
