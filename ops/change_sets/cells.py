"""An edited cell, and its values as JSON: in the images of the audit log, with every digit."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime, time
from functools import cache
from typing import Any, Final, NamedTuple

from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import DateTimeField, Field
from django.utils import timezone

from ops.json_depth import TOO_DEEP, is_too_deep
from ops.sql import compile

# Once for a field: it takes longer than the rest of a cell.
is_json = cache(compile.is_json)
# Raises ValidationError for a value of its column.
Validator = Callable[[Any], object]


class _NotSeen:
    def __repr__(self) -> str:
        return "NOT_SEEN"


# The cell was not on the page, as of pasted rows: the value that it has at staging counts as seen.
NOT_SEEN: Final = _NotSeen()


class Cell(NamedTuple):
    """``column`` is the name of a field. None is SQL NULL.

    In a JSON column ``seen`` and ``new`` are JSON as text. In any other one ``seen`` is the value as in an
    audit row (a text where numbers must keep their digits); ``new`` is that, or text as a person types it.
    """

    key: str
    column: str
    seen: Any
    new: Any


class CellError(NamedTuple):
    """Why a cell cannot be staged; ``column`` is "" where it is the whole row."""

    key: str
    column: str
    message: str


def seen_json(field: Field[Any, Any], value: Any) -> str | None:
    """The value that was seen as JSON; None is SQL NULL. Raises ValidationError."""
    if value is None:
        return None
    if is_json(field) and isinstance(value, str):
        _parse_json(value)
        text = value
    else:
        text = _dump(value)
    _require_storable(text)
    return text


def new_json(field: Field[Any, Any], value: Any, validate: Validator | None = None) -> str | None:
    """The new value as JSON; None is SQL NULL. Raises ValidationError where the field does not allow it."""
    if value is None and field.null:
        return None
    if is_json(field) and value is not None:
        return _clean_json(field, value, validate)
    try:
        cleaned = clean_value(field, value)
    except (TypeError, ValueError, OverflowError) as exc:
        raise ValidationError(f"“{value}” is not a value of {field.verbose_name}.") from exc
    if validate:
        validate(cleaned)
    if cleaned is None:
        return None
    text = _dump(cleaned)
    _require_storable(text)
    return text


def clean_value(field: Field[Any, Any], value: Any) -> Any:
    """As ``field.clean``; whether a foreign key names a row is asked for all cells at once."""
    cleaned = field.to_python(value)
    if isinstance(field, DateTimeField) and cleaned is not None and timezone.is_naive(cleaned):
        cleaned = timezone.make_aware(cleaned)
    if field.is_relation:
        Field.validate(field, cleaned, None)
    else:
        field.validate(cleaned, None)
    field.run_validators(cleaned)
    return cleaned


def _clean_json(field: Field[Any, Any], value: Any, validate: Validator | None) -> str:
    text = value if isinstance(value, str) else _dump(value)
    parsed = _parse_json(text)
    if not (field.blank or field.null) and parsed in field.empty_values:
        raise ValidationError(field.error_messages["blank"])
    if validate:
        validate(parsed)
    _require_storable(text)
    return text


def _parse_json(text: str) -> Any:
    """Raises ValidationError."""
    try:
        parsed = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as exc:
        raise ValidationError(f"That is not valid JSON: {exc}.") from exc
    except RecursionError as exc:
        raise ValidationError(f"This JSON is {TOO_DEEP}.") from exc
    if is_too_deep(text):
        raise ValidationError(f"This JSON is {TOO_DEEP}.")
    return parsed


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")


class _Encoder(DjangoJSONEncoder):
    """Keeps microseconds, which Django's encoder cuts to milliseconds."""

    def default(self, o: Any) -> Any:
        return o.isoformat() if isinstance(o, datetime | date | time) else super().default(o)


def _dump(value: Any) -> str:
    try:
        return json.dumps(value, cls=_Encoder, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as exc:
        raise ValidationError(f"“{value}” cannot be stored.") from exc


def _require_storable(text: str) -> None:
    """Raise ValidationError for characters that PostgreSQL does not store."""
    if "\\u0000" in text.replace("\\\\", "") or "\x00" in text:
        raise ValidationError("A text cannot hold the character NUL.")
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise ValidationError("The text has half a character (a lone surrogate). Type it again.") from exc
