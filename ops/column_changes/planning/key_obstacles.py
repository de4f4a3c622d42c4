"""What is in the way of a change of a primary key, or of a column that refers to one, to wider integers."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connection
from django.db.models import Field, ForeignKey, ManyToOneRel

from ops.column_changes.declaration import ColumnChange
from ops.column_changes.planning.table import ChangedTable
from ops.command_lines import manage_command
from ops.sql.foreign_keys import ForeignKeyConstraint, read_referring_keys
from ops.sql.integers import is_wider, max_integer
from ops.sql.key_sequence import read_key_sequence
from ops.sql.query import fetch_all

_COLUMN_TYPE_SQL = """
SELECT format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = to_regclass(%s) AND quote_ident(attname) = %s
"""


def find_model_key_obstacles(change: type[ColumnChange]) -> list[str]:
    """Return what is in the way of a change of the model's primary key, in words."""
    return [*_check_kind(change), *_check_new_field(change), *_check_related(change)]


def _check_kind(change: type[ColumnChange]) -> Iterator[str]:
    old, new = (_fields(change)[name] for name in change.fields())
    label = f"{change.model._meta.label}.{old.name}"
    if old.is_relation:
        yield f"{label} is a primary key that refers to another model. A column change does not support that."
    elif not is_wider(*(str(each.db_type(connection)) for each in (new, old))):
        yield (
            f"{label} is a primary key of the type {old.db_type(connection)}, and {new.name} is"
            f" {new.db_type(connection)}. A column change of a key supports only integers that become wider."
        )
    if not (change.is_copy() and change.is_copied_back()):
        yield f"{label} is a primary key, whose values have to stay the same: declare no conversion."


def _check_new_field(change: type[ColumnChange]) -> Iterator[str]:
    new = _fields(change)[change.new]
    if new.null:
        yield f"{new.name} may be NULL, and becomes the primary key: remove null=True."
    if new.unique:
        yield f"{new.name} gets the index of the primary key at the step constrain: remove unique=True."
    if new.has_default() or new.has_db_default():
        yield f"{new.name} has a default, and is a copy of {change.old} in each row: remove the default."


def _check_related(change: type[ColumnChange]) -> Iterator[str]:
    """Yield the tables that refer to the key, and have no field that a change of their own could name."""
    for related in change.model._meta.get_fields(include_hidden=True):
        if not isinstance(related, ManyToOneRel) or related.field_name != change.old:
            continue
        model = related.related_model
        if related.parent_link:
            yield (
                f"The model {model._meta.label} inherits from {change.model._meta.label}: its primary key is"
                " a foreign key too. A column change does not support that."
            )
        elif model._meta.auto_created:
            yield (
                f"Django made the table {model._meta.db_table} of a ManyToManyField, so no column change can"
                " widen its columns. Declare a model for it first (through=...)."
            )


def _fields(change: type[ColumnChange]) -> dict[str, Field]:  # type: ignore[type-arg]
    return {field.name: field for field in change.model._meta.concrete_fields}


def find_key_obstacles(table: ChangedTable) -> list[str]:
    """Return what is in the way in the database, in words."""
    if table.change.is_key():
        return [*_check_sequence(table), *_check_referring_keys(table)]
    return [*_check_narrow_key(table)]


def _check_sequence(table: ChangedTable) -> Iterator[str]:
    default = table.columns[table.old].default
    sequence = read_key_sequence(connection, table.column.table, table.old)
    if default and default.startswith("nextval(") and sequence is None:
        yield (
            f"{table.name}.{table.old} gets its values from a sequence that it does not own: {default}."
            f" Let it: ALTER SEQUENCE ... OWNED BY {table.name}.{table.old}"
        )
    elif default and not default.startswith("nextval("):
        yield f"{table.name}.{table.old} has the default {default}. A key may have a sequence, and no other."


def _check_referring_keys(table: ChangedTable) -> Iterator[str]:
    for each in read_referring_keys(connection, table.column.table, table.old):
        if problem := _problem_of(each):
            column = f"{table.name}.{table.old}"
            yield f"The foreign key {each.name} of {each.table} refers to {column}, and {problem}."


def _problem_of(each: ForeignKeyConstraint) -> str | None:
    if each.count > 1:
        return "has several columns: a column change does not support that"
    if each.is_partitioned:
        return "its table is partitioned: a column change does not support that"
    return None if each.is_valid else "is NOT VALID: validate it first"


def _check_narrow_key(table: ChangedTable) -> Iterator[str]:
    """A foreign key column has the type of the key to which it refers."""
    change, new = table.change, table.change().new_field()
    if not (change.swap and change.is_copy() and isinstance(new, ForeignKey)):
        return
    kind = table.columns[table.old].type
    if kind == new.db_type(connection):
        target = new.target_field
        yield (
            f"{table.old} and {table.new} would both be {kind}, the type of {target.model._meta.label}"
            f".{target.name}, to which they refer. Change that key first:"
            f" {manage_command('startchange', target.model._meta.label, target.name)}"
        )


def list_narrow_references(table: ChangedTable) -> Iterator[str]:
    """Yield a note for each column that refers to the key, and cannot have the values of the new one."""
    if not table.change.is_key():
        return
    wide = str(table.change().new_field().db_type(connection))
    for each in read_referring_keys(connection, table.column.table, table.old):
        rows = fetch_all(_COLUMN_TYPE_SQL, each.table, each.columns)
        if rows and is_wider(wide, kind := rows[0][0]):
            yield (
                f"{each.table}.{each.columns} refers to the key, and ends at {max_integer(kind)}. Widen it by"
                " a change of its own, after this one has taken the step retire."
            )
