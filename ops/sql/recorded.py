"""Single rows as the database writes them, and the audit row of what became of one."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.db.models import Field, Model
from psycopg import sql

from ops.models import AuditLog
from ops.sql.changes import Change, changes_of
from ops.sql.compile import identifier, touched


def hold(row: Model) -> str | None:
    """The row as text that the database reads back exactly, locked; None where it is gone. In a transaction.

    Unlike JSON, this text tells SQL NULL from JSON's null.
    """
    return _row(row, "FOR UPDATE")


def stored(row: Model) -> str | None:
    return _row(row, "")


def _row(row: Model, lock: str) -> str | None:
    meta = row._meta
    statement = sql.SQL("SELECT held::text FROM {table} AS held WHERE held.{pk} = %s {lock}").format(
        table=identifier(meta.db_table), pk=identifier(meta.pk.column), lock=sql.SQL(lock)
    )
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string(), [row.pk])
        found = cursor.fetchone()
    return found[0] if found else None


def write_audit(
    model: type[Model], key: str, said: tuple[str, str], old: str | None, new: str | None
) -> None:
    """Audit a row that was ``old`` and is ``new``, None where there is none; nothing where both are equal.

    ``said`` are the action and who performed it.
    """
    meta = model._meta
    ignored = [meta.pk, *touched(model)]
    changes = [_change(field) for field in meta.local_concrete_fields if field not in ignored]
    statement = sql.SQL(
        "INSERT INTO {audit} (action, object_type, object_id, performed_by, changes)"
        " SELECT %s, %s, %s, %s, {changes}"
        " FROM (SELECT (%s::{table}).*) AS old, (SELECT (%s::{table}).*) AS new WHERE {differs}"
    ).format(
        audit=identifier(AuditLog._meta.db_table),
        changes=changes_of(changes),
        table=identifier(meta.db_table),
        differs=sql.SQL(" OR ").join(change.when for change in changes),
    )
    action, performed_by = said
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string(), [action, meta.label_lower, key, performed_by, old, new])


def _change(field: Field[Any, Any]) -> Change:
    """By their text: values that count as equal, as 1.1 and 1.10 in JSON, may be told in two ways."""
    old, new = identifier("old", field.column), identifier("new", field.column)
    return Change(field, old, new, when=sql.SQL("{}::text IS DISTINCT FROM {}::text").format(old, new))
