"""Expressions over what a run's audit rows say of the row at hand: what it wrote, what was there before."""

from __future__ import annotations

from typing import Any

from django.db.models import (
    BooleanField,
    Expression,
    ExpressionWrapper,
    Field,
    Func,
    JSONField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
)
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import NullIf
from psycopg import sql

from ops.models import AuditLog
from ops.sql.compile import identifier, is_json
from ops.sql.keys import key_text

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


def stands(run_id: int, fields: list[Field[Any, Any]]) -> Subquery:
    """Whether the row at hand is as the run wrote it, and was otherwise before; NULL where it wrote none.

    A scalar subquery: see Note [Why scalar subqueries ask what a run audited]. PostgreSQL never turns one
    into a join, and so evaluates it again on the newest version of a row that somebody just changed. And a
    single one, since each is a look into the audit log for every row.
    """
    differs, untouched = Q(), Q()
    for field in fields:
        differs |= ~Q(Same(_side(field, "old"), _side(field, "new")))
        now: Any = OuterRef(field.attname)
        now = now if is_json(field) else Func(now, function="to_jsonb", output_field=JSONField())
        untouched &= Q(Same(now, _as_value(_side(field, "new"), field)))
    told = written(run_id).values_list(ExpressionWrapper(differs & untouched, BooleanField()))
    return Subquery(told[:1], output_field=BooleanField())


def before(run_id: int, field: Field[Any, Any]) -> Expression:
    """What the column held before the run, as the column's type."""
    old: Expression = _value(run_id, field, "old")
    return old if is_json(field) else Restored(old, field)


def _side(field: Field[Any, Any], side: str) -> KeyTransform:
    return KeyTransform(side, KeyTransform(str(field.column), "changes"))


def _value(run_id: int, field: Field[Any, Any], side: str) -> Any:
    value = Subquery(written(run_id).values_list(_side(field, side)), output_field=JSONField())
    return _as_value(value, field)


def _as_value(told: Any, field: Field[Any, Any]) -> Any:
    """SQL NULL is a missing key in a JSON column, ``null`` in any other: see AuditLog."""
    return told if is_json(field) else NullIf(told, _JSON_NULL)
