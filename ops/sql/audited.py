"""Expressions over what a run's audit rows say of the row at hand: what it wrote, what was there before."""

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
# Types whose image is their text in quotes, and types that read the text of their image as it is.
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
    """The value of a column as JSON, as audit rows have it; NULL where it is NULL."""

    function = "to_jsonb"
    output_field = JSONField()


class FromJsonb(Func):
    """A value out of a JSON document as the type that its column has now, by that type's input function."""

    is_as_stored = True

    def __init__(self, document: Expression, field: Field[Any, Any]) -> None:
        table, column = identifier(field.model._meta.db_table), identifier(field.column)
        template = sql.SQL(
            "(jsonb_populate_record(NULL::{}, jsonb_build_object({}, %(expressions)s))).{}"
        ).format(table, sql.Literal(field.column), column)
        super().__init__(document, output_field=field, template=template.as_string())


class CastFromText(Func):
    """A text as a type that has one text for each value."""

    is_as_stored = True

    def __init__(self, text: Expression, kind: str, field: Field[Any, Any]) -> None:
        super().__init__(text, output_field=field, template=f"(%(expressions)s)::{kind}")


def audited_changes(audited: KeyList) -> KeyListColumn:
    """What the run's audit row says of the row at hand, in a queryset that joins the run's audit rows."""
    return audited.column("changes", JSONField())


# Note [Alike is what has the same image as the same type]
# A column's type may be another one since the run: 5 is "5" in a text column, 1.10 is 1.1 in one of fewer
# places. So what was audited is read as the type that the column has now, and the image of that is compared
# with the image of what stands. Not the values themselves: to citext "a" is "A", to interval a month is 30
# days, and a player who wrote the one for the other must keep it; a point or a json has no equality at all.
# As long as nobody changed the type, the images are the same as they are, and nothing is read: a million rows
# are judged in half the time.
def is_unchanged_since_run(
    audited: KeyList, fields: list[Field[Any, Any]], kinds: Mapping[str, str]
) -> Expression:
    """Whether the row at hand is as the run wrote it, and was otherwise before.

    ``kinds`` are the types of those columns that still have the type that they had in the run.
    """
    changes, untouched = audited_changes(audited), Q()
    for field in fields:
        untouched &= _is_unchanged(changes, field, kinds.get(str(field.column)))
    return ExpressionWrapper(untouched & _is_changed(changes, fields), BooleanField())


def changed_audit_rows(run_id: int, fields: list[Field[Any, Any]]) -> QuerySet[AuditLog]:
    """The run's audit rows of the rows that were otherwise before."""
    return AuditLog.objects.filter(_is_changed(F("changes"), fields), run_id=run_id)


def old_value(audited: KeyList, field: Field[Any, Any], kinds: Mapping[str, str]) -> Expression:
    """What the column held before the run, as the column's type; ``kinds`` as in ``stands``."""
    if (kind := _strip_type_modifier(kinds.get(str(field.column)))) in _SCALAR_TYPES:
        return CastFromText(_audited_text(audited_changes(audited), field, "old"), kind, field)
    return _to_column_value(_audited_json(audited_changes(audited), field, "old"), field)


def validate_audited_values(run_id: int, fields: list[Field[Any, Any]]) -> None:
    """Read all that the run audited as the types that its columns have now. Raises DataError."""
    sides = [(field, _audited_json(F("changes"), field, side)) for field in fields for side in ("old", "new")]
    told = [Count(_to_column_value(image, field)) for field, image in sides if not is_json(field)]
    AuditLog.objects.filter(run_id=run_id).aggregate(**{f"told_{i}": count for i, count in enumerate(told)})


def lacks_audited_column(run_id: int, field: Field[Any, Any]) -> bool:
    """Whether the run audited rows without the column, which had another name then."""
    return AuditLog.objects.filter(run_id=run_id).exclude(changes__has_key=str(field.column)).exists()


def _is_changed(changes: Any, fields: list[Field[Any, Any]]) -> Q:
    differs = Q()
    for field in fields:
        differs |= ~Q(
            IsNotDistinctFrom(_audited_json(changes, field, "old"), _audited_json(changes, field, "new"))
        )
    return differs


def _is_unchanged(changes: Any, field: Field[Any, Any], kind: str | None) -> Q:
    now: Any = F(field.attname)
    if _strip_type_modifier(kind) in _TEXT_TYPES:
        return Q(IsNotDistinctFrom(now, Collate(_audited_text(changes, field, "new"), "default")))
    told = _audited_json(changes, field, "new")
    if is_json(field):
        return Q(IsNotDistinctFrom(ToJsonb(now), told))
    image = NullIf(told, _JSON_NULL)
    alike = Q(IsNotDistinctFrom(ToJsonb(now), image))
    return alike if kind else alike | Q(IsNotDistinctFrom(ToJsonb(now), ToJsonb(FromJsonb(image, field))))


def _audited_text(changes: Any, field: Field[Any, Any], side: str) -> KeyTextTransform:
    return KeyTextTransform(side, KeyTransform(str(field.column), changes))


def _strip_type_modifier(kind: str | None) -> str:
    return re.sub(r"\(.*?\)", "", kind or "")


def _audited_json(changes: Any, field: Field[Any, Any], side: str) -> KeyTransform:
    return KeyTransform(side, KeyTransform(str(field.column), changes))


def _to_column_value(told: Any, field: Field[Any, Any]) -> Expression:
    """SQL NULL is a missing key in a JSON column, ``null`` in any other: see AuditLog."""
    return told if is_json(field) else FromJsonb(NullIf(told, _JSON_NULL), field)
