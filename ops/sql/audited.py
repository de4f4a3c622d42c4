"""Expressions over the audit rows of a run: the values that it wrote and those that it replaced."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.db.models import (
    BooleanField,
    Count,
    Expression,
    ExpressionWrapper,
    F,
    Field,
    Func,
    JSONField,
    Q,
    QuerySet,
    Value,
)
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Collate, NullIf
from psycopg import sql

from ops.models import AuditLog
from ops.sql.compile import identifier, is_json
from ops.sql.keylist import KeyList, KeyListColumn

_JSON_NULL = Value(None, output_field=JSONField())
# Types whose JSON is their text in quotes, and types that parse the text of their JSON.
_TEXT_TYPES = {"text", "character varying"}
_SCALAR_TYPES = {
    *_TEXT_TYPES, "smallint", "integer", "bigint", "numeric", "real", "double precision", "boolean", "uuid",
    "date", "timestamp with time zone", "timestamp without time zone",
}  # fmt: skip


class IsNotDistinctFrom(Func):
    """``a IS NOT DISTINCT FROM b``: equal, or both NULL."""

    template = "(%(expressions)s)"
    arg_joiner = " IS NOT DISTINCT FROM "
    output_field = BooleanField()


class ToJsonb(Func):
    """``to_jsonb``: a column's value as JSON, as audit rows store it; NULL where it is NULL."""

    function = "to_jsonb"
    output_field = JSONField()


class FromJsonb(Func):
    """Convert JSON to the type that the column has now, by that type's input function."""

    has_column_type = True

    def __init__(self, document: Expression, field: Field[Any, Any]) -> None:
        table, column = identifier(field.model._meta.db_table), identifier(field.column)
        template = sql.SQL(
            "(jsonb_populate_record(NULL::{}, jsonb_build_object({}, %(expressions)s))).{}"
        ).format(table, sql.Literal(field.column), column)
        super().__init__(document, output_field=field, template=template.as_string())


class CastFromText(Func):
    """Cast text to a type that has exactly one text for each value."""

    has_column_type = True

    def __init__(self, text: Expression, kind: str, field: Field[Any, Any]) -> None:
        super().__init__(text, output_field=field, template=f"(%(expressions)s)::{kind}")


def audited_changes(audited: KeyList) -> KeyListColumn:
    """The ``changes`` of the joined audit row, in a queryset that joins the audit rows of the run."""
    return audited.column("changes", JSONField())


# Note [Alike is what has the same image as the same type]
# A column's type may have changed since the run: 5 is "5" in a text column, 1.10 is 1.1 in one of fewer
# decimal places. So an audited value is converted to the column's present type, and its image (JSON) is
# compared with the image of the stored value. The values themselves are not compared: citext takes "a" for
# "A", interval takes a month for 30 days, and a player who wrote one in place of the other must keep it;
# point and json have no equality operator at all. If the type has not changed, the images are compared
# without a conversion, which takes half the time on a million rows.
def is_unchanged_since_run(
    audited: KeyList, fields: list[Field[Any, Any]], kinds: Mapping[str, str]
) -> Expression:
    """Whether the row still has the values that the run wrote, and the run had changed them.

    ``kinds`` are the types of the columns whose type has not changed since the run, by column.
    """
    changes, unchanged = audited_changes(audited), Q()
    for field in fields:
        unchanged &= is_alike(changes, field, kinds.get(str(field.column)), "new")
    return ExpressionWrapper(unchanged & _is_changed(changes, fields), BooleanField())


def changed_audit_rows(run_id: int, fields: list[Field[Any, Any]]) -> QuerySet[AuditLog]:
    """The audit rows of the run whose old and new values differ."""
    return AuditLog.objects.filter(_is_changed(F("changes"), fields), run_id=run_id)


def old_value(audited: KeyList, field: Field[Any, Any], kinds: Mapping[str, str]) -> Expression:
    """The column's value before the run, in the column's type; ``kinds`` as in ``is_unchanged_since_run``."""
    return column_value(audited_changes(audited), field, kinds.get(str(field.column)), "old")


def column_value(changes: Any, field: Field[Any, Any], kind: str | None, side: str) -> Expression:
    """The old or new value of the ``changes``, in the column's type; ``kind`` is None if that may differ."""
    if (kind := _strip_type_modifier(kind)) in _SCALAR_TYPES:
        return CastFromText(_audited_text(changes, field, side), kind, field)
    return _to_column_value(audited_json(changes, field, side), field)


def validate_audited_values(run_id: int, fields: list[Field[Any, Any]]) -> None:
    """Convert all values that the run audited to the columns' present types. Raises DataError."""
    sides = [(field, audited_json(F("changes"), field, side)) for field in fields for side in ("old", "new")]
    counts = [Count(_to_column_value(image, field)) for field, image in sides if not is_json(field)]
    AuditLog.objects.filter(run_id=run_id).aggregate(
        **{f"count_{i}": count for i, count in enumerate(counts)}
    )


def lacks_audited_column(run_id: int, field: Field[Any, Any]) -> bool:
    """Whether the run has audit rows without the column, as it was renamed since."""
    return AuditLog.objects.filter(run_id=run_id).exclude(changes__has_key=str(field.column)).exists()


def _is_changed(changes: Any, fields: list[Field[Any, Any]]) -> Q:
    differs = Q()
    for field in fields:
        differs |= ~Q(
            IsNotDistinctFrom(audited_json(changes, field, "old"), audited_json(changes, field, "new"))
        )
    return differs


def is_alike(changes: Any, field: Field[Any, Any], kind: str | None, side: str) -> Q:
    """Whether the row has the old or new value of the ``changes``: see Note [Alike is what has ...]."""
    now: Any = F(field.attname)
    if _strip_type_modifier(kind) in _TEXT_TYPES:
        return Q(IsNotDistinctFrom(now, Collate(_audited_text(changes, field, side), "default")))
    written = audited_json(changes, field, side)
    if is_json(field):
        return Q(IsNotDistinctFrom(ToJsonb(now), written))
    image = NullIf(written, _JSON_NULL)
    is_same = Q(IsNotDistinctFrom(ToJsonb(now), image))
    return is_same if kind else is_same | Q(IsNotDistinctFrom(ToJsonb(now), ToJsonb(FromJsonb(image, field))))


def _audited_text(changes: Any, field: Field[Any, Any], side: str) -> KeyTextTransform:
    return KeyTextTransform(side, KeyTransform(str(field.column), changes))


def _strip_type_modifier(kind: str | None) -> str:
    return re.sub(r"\(.*?\)", "", kind or "")


def audited_json(changes: Any, field: Field[Any, Any], side: str) -> KeyTransform:
    """The image of the old or new value; NULL where the ``changes`` do not have it."""
    return KeyTransform(side, KeyTransform(str(field.column), changes))


def _to_column_value(image: Any, field: Field[Any, Any]) -> Expression:
    """Convert an audited value. SQL NULL is a missing key in a JSON column, else ``null``: see AuditLog."""
    return image if is_json(field) else FromJsonb(NullIf(image, _JSON_NULL), field)
