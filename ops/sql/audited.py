"""Expressions over what a run's audit rows say of the row at hand: what it wrote, what was there before."""

from __future__ import annotations

from typing import Any

from django.db.models import (
    BooleanField,
    Expression,
    ExpressionWrapper,
    F,
    Field,
    Func,
    JSONField,
    Q,
    QuerySet,
    Subquery,
    Value,
)
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import NullIf
from psycopg import sql

from ops.models import AuditLog
from ops.scope import key_text
from ops.sql.compile import identifier, is_json

_JSON_NULL = Value(None, output_field=JSONField())


class Same(Func):
    """``a IS NOT DISTINCT FROM b``: equal, or both NULL."""

    template = "(%(expressions)s)"
    arg_joiner = " IS NOT DISTINCT FROM "
    output_field = BooleanField()


class Restored(Func):
    """A value out of a JSON document as its column's type, by the column's own input function."""

    def __init__(self, document: Expression, field: Field[Any, Any]) -> None:
        table, column = identifier(field.model._meta.db_table), identifier(field.column)
        template = sql.SQL(
            "(jsonb_populate_record(NULL::{}, jsonb_build_object({}, %(expressions)s))).{}"
        ).format(table, sql.Literal(field.column), column)
        super().__init__(document, output_field=field, template=template.as_string())


def written(run_id: int) -> QuerySet[AuditLog]:
    """The audit row that the run wrote of the row at hand."""
    return AuditLog.objects.filter(run_id=run_id, object_id=key_text())


def changed(run_id: int, fields: list[Field[Any, Any]]) -> Subquery:
    """Whether the run changed the row at hand, and not to what it already was; NULL where it did not.

    See Note [Why scalar subqueries ask what a run audited].
    """
    differs = Q()
    for field in fields:
        differs |= ~Q(Same(_side(field, "old"), _side(field, "new")))
    told = written(run_id).values_list(ExpressionWrapper(differs, BooleanField()))
    return Subquery(told[:1], output_field=BooleanField())


def untouched(run_id: int, field: Field[Any, Any]) -> Same:
    """Whether the column still holds what the run wrote.

    The values come by scalar subqueries: PostgreSQL never turns those into joins, and so evaluates the
    comparison again on the newest version of a row that somebody just changed.
    """
    now = F(field.attname) if is_json(field) else Func(F(field.attname), function="to_jsonb")
    return Same(now, _value(run_id, field, "new"))


def before(run_id: int, field: Field[Any, Any]) -> Expression:
    """What the column held before the run, as the column's type."""
    old: Expression = _value(run_id, field, "old")
    return old if is_json(field) else Restored(old, field)


def _side(field: Field[Any, Any], side: str) -> KeyTransform:
    return KeyTransform(side, KeyTransform(str(field.column), "changes"))


def _value(run_id: int, field: Field[Any, Any], side: str) -> Any:
    """SQL NULL is a missing key in a JSON column, ``null`` in any other: see AuditLog."""
    value = Subquery(written(run_id).values_list(_side(field, side)), output_field=JSONField())
    return value if is_json(field) else NullIf(value, _JSON_NULL)
