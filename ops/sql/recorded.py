"""Single rows as the database writes them, and the audit row of what became of one."""

from __future__ import annotations

from collections.abc import Iterator
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
    """The row as text that the database reads back exactly, locked; None where it is gone. In a transaction.

    Unlike JSON, this text tells SQL NULL from JSON's null.
    """
    return _select_row_text(row, "FOR UPDATE")


def select_row(row: Model) -> str | None:
    return _select_row_text(row, "")


def _select_row_text(row: Model, lock: str) -> str | None:
    meta = row._meta
    statement = sql.SQL("SELECT held::text FROM {table} AS held WHERE held.{pk} = %s {lock}").format(
        table=identifier(meta.db_table), pk=identifier(meta.pk.column), lock=sql.SQL(lock)
    )
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string(), [row.pk])
        found = cursor.fetchone()
    return found[0] if found else None


def write_audit_row(
    model: type[Model], key: str, said: tuple[str, str], old: str | None, new: str | None
) -> None:
    """Audit a row that was ``old`` and is ``new``, None where there is none; nothing where both are equal.

    ``said`` are the action and who performed it.
    """
    meta = model._meta
    ignored = [meta.pk, *auto_now_fields(model)]
    changes = [_text_change(field) for field in meta.local_concrete_fields if field not in ignored]
    statement = sql.SQL(
        "INSERT INTO {audit} (action, object_type, object_id, performed_by, changes)"
        " SELECT %s, %s, %s, %s, {changes}"
        " FROM (SELECT (%s::{table}).*) AS old, (SELECT (%s::{table}).*) AS new WHERE {differs}"
    ).format(
        audit=identifier(AuditLog._meta.db_table),
        changes=build_changes_json(changes),
        table=identifier(meta.db_table),
        differs=sql.SQL(" OR ").join(change.when for change in changes),
    )
    action, performed_by = said
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string(), [action, meta.label_lower, key, performed_by, old, new])


def _text_change(field: Field[Any, Any]) -> ColumnChange:
    """By their text: values that count as equal, as 1.1 and 1.10 in JSON, may be told in two ways."""
    old, new = identifier("old", field.column), identifier("new", field.column)
    return ColumnChange(field, old, new, when=sql.SQL("{}::text IS DISTINCT FROM {}::text").format(old, new))


@contextmanager
def audit_changes(row: Model, action: str, performed_by: str) -> Iterator[None]:
    """Audit what the block does to the row, be it to create, change or delete it, in one transaction.

    The old values are those of the locked row, the new ones those that the database then holds: what a
    trigger does besides is in them. A row that is as it was gets no audit row.
    """
    with canonical_output():
        key = row.pk
        old = None if key is None else select_row_for_update(row)
        yield
        if key is None:
            key = row.pk
        new = None if row.pk is None else select_row(row)
        write_audit_row(type(row), str(key), (action, performed_by), old, new)
