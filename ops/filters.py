"""Conditions on a model's columns as people type them: ``rarity=rare``, ``rarity_v2__isnull=true``."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db.models import BooleanField, Field, JSONField, Model, Value
from django.utils import timezone

from ops.exceptions import InvalidScope
from ops.words import cut, harmless

# What may end a column's name, and what is told of it.
ENDINGS = {
    "isnull": "NAME__isnull=true for NULL, =false for any value",
    "in": "NAME__in=A,B for any of several",
    "contains": "NAME__contains=A,B for lists that have all of these",
}
_SAID = {"true": True, "t": True, "1": True, "yes": True, "false": False, "f": False, "0": False, "no": False}


def conditions(model: type[Model], asked: Mapping[str, str | None]) -> dict[str, Any]:
    """The filter as keyword arguments of ``QuerySet.filter``; None asks for NULL. Raises InvalidScope."""
    return dict(_condition(model, name, text) for name, text in asked.items())


def value_of(field: Field[Any, Any], text: str | None, is_key: bool = False) -> Any:
    """A value as the column has it. Raises InvalidScope."""
    return _told_of(field, str(field.name), text, lambda: _value(field, text, is_key))


def _condition(model: type[Model], name: str, text: str | None) -> tuple[str, Any]:
    column, _, ending = name.rpartition("__") if "__" in name else (name, "", "")
    field = _field(model, name, column, ending)
    if text is None:
        return f"{column}__isnull", True
    read = {"": _exact, "isnull": _boolean, "in": _several, "contains": _contained}[ending]
    return name, _told_of(field, name, text, lambda: read(field, text))


def _field(model: type[Model], name: str, column: str, ending: str) -> Field[Any, Any]:
    table = model._meta.concrete_model or model
    fields = {field.name: field for field in table._meta.local_concrete_fields}
    by_attribute = {field.attname: field for field in fields.values()}
    known = {**by_attribute, **fields}
    if column not in known or ending not in ("", *ENDINGS):
        forms = "; ".join(ENDINGS.values()).replace("NAME", column) if column in known else ""
        told = f"{model._meta.label} has no column {name!r}; it has {', '.join(fields)}"
        raise InvalidScope(f"{told}. Of {column} can be asked: {forms}" if forms else told)
    return known[column]


def _told_of(field: Field[Any, Any], name: str, text: str | None, read: Callable[[], Any]) -> Any:
    try:
        _refuse_unstorable(text or "")
        return read()
    except (ValidationError, ValueError, csv.Error) as exc:
        reason = " ".join(exc.messages) if isinstance(exc, ValidationError) else str(exc)
        if isinstance(exc, json.JSONDecodeError):
            reason = "it is written as JSON."
        null = f" For NULL: {field.name}__isnull=true" if text in ("", "null", "NULL", "None") else ""
        raise InvalidScope(f"{name}={cut(harmless(text or ''))}: {reason}{null}") from exc


def _refuse_unstorable(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it is not UTF-8.") from None
    if "\0" in text:
        raise ValueError("no text can hold a NUL character.")


def _exact(field: Field[Any, Any], text: str) -> Any:
    value = _value(field, text)
    if value is None and not isinstance(field, JSONField):
        raise ValueError("it is no value.")
    return value


def _value(field: Field[Any, Any], text: str | None, is_key: bool = False) -> Any:
    if isinstance(field, JSONField):
        return _json(field, text)
    if isinstance(field, ArrayField):
        return _array(field, text)
    if isinstance(field, BooleanField):
        return _boolean(field, text or "")
    value = field.to_python(text)
    if is_key:  # the database refuses a number that is too large for the column
        field.run_validators(value)
    if isinstance(value, datetime) and settings.USE_TZ and timezone.is_naive(value):
        return timezone.make_aware(value)
    return value


def _boolean(field: Field[Any, Any], text: str) -> bool:
    if text.lower() not in _SAID:
        raise ValueError("it is true or false.")
    return _SAID[text.lower()]


def _json(field: Field[Any, Any], text: str | None) -> Any:
    try:
        value = json.loads(text or "")
    except ValueError:
        raise ValueError("it is JSON, in which a text has quotes: '\"rare\"', '{\"level\": 3}'.") from None
    return Value(None, JSONField()) if value is None else value


def _array(field: ArrayField[Any, Any], text: str | None) -> Any:
    try:
        value = json.loads(text or "")
    except ValueError:
        value = None
    if not isinstance(value, list):
        raise ValueError(
            f"a list. For rows that have it: {field.name}__contains={text or 'VALUE'}."
            f" For rows with just this: {field.name}='{json.dumps([text or 'VALUE'])}'."
        )
    return field.to_python(json.dumps(value))


def _several(field: Field[Any, Any], text: str) -> list[Any]:
    if isinstance(field, JSONField | ArrayField):
        raise ValueError("lists and JSON are asked for one by one.")
    return [_exact(field, part) for part in _parts(text)]


def _contained(field: Field[Any, Any], text: str) -> Any:
    if isinstance(field, JSONField):
        return _json(field, text)
    if isinstance(field, ArrayField):
        return [_exact(field.base_field, part) for part in _parts(text)]
    raise ValueError("only a list or JSON contains something.")


def _parts(text: str) -> list[str]:
    """``a,b``; what holds a comma is quoted, as in CSV."""
    [parts] = csv.reader([text], strict=True, skipinitialspace=True) if text else [[""]]
    return parts
