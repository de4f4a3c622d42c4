"""Audit what a block of code does to a single row."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection
from django.db.models import Field, Model
from psycopg import sql

from ops.db import canonical_output
from ops.models import AuditLog
from ops.sql.changes import ColumnChange, build_changes_json
from ops.sql.compile import auto_now_fields, identifier


def select_row_for_update(row: Model) -> str | None:
    """Lock the row and return it as composite text; None where it does not exist. Needs a transaction.

    The database parses this text back exactly. Unlike JSON, it distinguishes SQL NULL from JSON's null.
    """
    return _select_row_text(row, "FOR UPDATE")


def select_row(row: Model) -> str | None:
    """As ``select_row_for_update``, without a lock."""
    return _select_row_text(row, "")


def _select_row_text(row: Model, lock: str) -> str | None:
    meta = row._meta
    statement = sql.SQL("SELECT stored::text FROM {table} AS stored WHERE stored.{pk} = %s {lock}").format(
        table=identifier(meta.db_table), pk=identifier(meta.pk.column), lock=sql.SQL(lock)
    )
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string(), [row.pk])
        selected = cursor.fetchone()
    return selected[0] if selected else None


_HIDDEN = sql.Literal("(hidden)")


def write_audit_row(
    model: type[Model],
    key: str,
    action: str,
    performed_by: str,
    *,
    old: str | None,
    new: str | None,
    hidden: Collection[str] = (),
) -> None:
    """Insert the audit row of a change from ``old`` to ``new``; none where both are equal.

    Both are composite text of the row; None stands for a row that does not exist. Of ``hidden`` columns only
    the fact that they changed is written.
    """
    meta = model._meta
    ignored = [meta.pk, *auto_now_fields(model)]
    changes = [
        _text_change(field, is_hidden=field.column in hidden)
        for field in meta.local_concrete_fields
        if field not in ignored
    ]
    statement = sql.SQL(
        "INSERT INTO {audit} (action, object_type, object_id, performed_by, changes)"
        " SELECT %s, %s, %s, %s, {changes}"
        " FROM (SELECT (%s::{table}).*) AS old, (SELECT (%s::{table}).*) AS new WHERE {differs}"
    ).format(
        audit=identifier(AuditLog._meta.db_table),
        changes=build_changes_json(changes),
        table=identifier(meta.db_table),
        differs=sql.SQL(" OR ").join(change.condition for change in changes if change.condition),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string(), [action, meta.label_lower, key, performed_by, old, new])


def _text_change(field: Field[Any, Any], is_hidden: bool) -> ColumnChange:
    """Compare the values by their text: some equal ones, as 1.1 and 1.10 in JSON, have different texts."""
    old, new = identifier("old", field.column), identifier("new", field.column)
    condition = sql.SQL("{}::text IS DISTINCT FROM {}::text").format(old, new)
    if is_hidden:
        return ColumnChange(field, _hide(old), _hide(new), condition)
    return ColumnChange(field, old, new, condition)


def _hide(value: sql.Composable) -> sql.Composable:
    return sql.SQL("CASE WHEN {} IS NOT NULL THEN {}::text END").format(value, _HIDDEN)


@contextmanager
def audit_changes(row: Model, action: str, performed_by: str, hidden: Collection[str] = ()) -> Iterator[None]:
    """Run the block in one transaction and audit how it creates, changes or deletes the row.

    Old values are read from the locked row, new ones from the row after the block, so that changes by
    triggers are audited too. A row that is unchanged gets no audit row. Values of ``hidden`` columns, such as
    hashes of passwords, are not written.
    """
    with canonical_output():
        key = row.pk
        old = None if key is None else select_row_for_update(row)
        yield
        if key is None:
            key = row.pk
        new = None if row.pk is None else select_row(row)
        write_audit_row(type(row), str(key), action, performed_by, old=old, new=new, hidden=hidden)
