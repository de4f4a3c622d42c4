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
from ops.formatting import escape_control_chars, truncate

# What may end a column's name, and what is told of it.
LOOKUPS = {
    "isnull": "NAME__isnull=true for NULL, =false for any value",
    "in": "NAME__in=A,B for any of several",
    "contains": "NAME__contains=A,B for lists that have all of these",
}
_BOOLEANS = {
    "true": True,
    "t": True,
    "1": True,
    "yes": True,
    "false": False,
    "f": False,
    "0": False,
    "no": False,
}


def build_filter_kwargs(model: type[Model], asked: Mapping[str, str | None]) -> dict[str, Any]:
    """The filter as keyword arguments of ``QuerySet.filter``; None asks for NULL. Raises InvalidScope."""
    return dict(_parse_condition(model, name, text) for name, text in asked.items())


def parse_value(field: Field[Any, Any], text: str | None, is_key: bool = False) -> Any:
    """A value as the column has it. Raises InvalidScope."""
    return _parse_or_raise(field, str(field.name), text, lambda: _to_python(field, text, is_key))


def _parse_condition(model: type[Model], name: str, text: str | None) -> tuple[str, Any]:
    column, _, ending = name.rpartition("__") if "__" in name else (name, "", "")
    field = _resolve_field(model, name, column, ending)
    if text is None:
        return f"{column}__isnull", True
    read = {"": _parse_exact, "isnull": _parse_boolean, "in": _parse_in, "contains": _parse_contains}[ending]
    return name, _parse_or_raise(field, name, text, lambda: read(field, text))


def _resolve_field(model: type[Model], name: str, column: str, ending: str) -> Field[Any, Any]:
    table = model._meta.concrete_model or model
    fields = {field.name: field for field in table._meta.local_concrete_fields}
    by_attribute = {field.attname: field for field in fields.values()}
    known = {**by_attribute, **fields}
    if column not in known or ending not in ("", *LOOKUPS):
        forms = "; ".join(LOOKUPS.values()).replace("NAME", column) if column in known else ""
        told = f"{model._meta.label} has no column {name!r}; it has {', '.join(fields)}"
        raise InvalidScope(f"{told}. Of {column} can be asked: {forms}" if forms else told)
    return known[column]


def _parse_or_raise(field: Field[Any, Any], name: str, text: str | None, read: Callable[[], Any]) -> Any:
    try:
        _check_storable(text or "")
        return read()
    except (ValidationError, ValueError, csv.Error) as exc:
        reason = " ".join(exc.messages) if isinstance(exc, ValidationError) else str(exc)
        if isinstance(exc, json.JSONDecodeError):
            reason = "it is written as JSON."
        null = f" For NULL: {field.name}__isnull=true" if text in ("", "null", "NULL", "None") else ""
        raise InvalidScope(f"{name}={truncate(escape_control_chars(text or ''))}: {reason}{null}") from exc


def _check_storable(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it is not UTF-8.") from None
    if "\0" in text:
        raise ValueError("no text can hold a NUL character.")


def _parse_exact(field: Field[Any, Any], text: str) -> Any:
    value = _to_python(field, text)
    if value is None and not isinstance(field, JSONField):
        raise ValueError("it is no value.")
    return value


def _to_python(field: Field[Any, Any], text: str | None, is_key: bool = False) -> Any:
    if isinstance(field, JSONField):
        return _parse_json(field, text)
    if isinstance(field, ArrayField):
        return _parse_array(field, text)
    if isinstance(field, BooleanField):
        return _parse_boolean(field, text or "")
    value = field.to_python(text)
    if is_key:  # the database refuses a number that is too large for the column
        field.run_validators(value)
    if isinstance(value, datetime) and settings.USE_TZ and timezone.is_naive(value):
        return timezone.make_aware(value)
    return value


def _parse_boolean(field: Field[Any, Any], text: str) -> bool:
    if text.lower() not in _BOOLEANS:
        raise ValueError("it is true or false.")
    return _BOOLEANS[text.lower()]


def _parse_json(field: Field[Any, Any], text: str | None) -> Any:
    try:
        value = json.loads(text or "")
    except ValueError:
        raise ValueError("it is JSON, in which a text has quotes: '\"rare\"', '{\"level\": 3}'.") from None
    return Value(None, JSONField()) if value is None else value


def _parse_array(field: ArrayField[Any, Any], text: str | None) -> Any:
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


def _parse_in(field: Field[Any, Any], text: str) -> list[Any]:
    if isinstance(field, JSONField | ArrayField):
        raise ValueError("lists and JSON are asked for one by one.")
    return [_parse_exact(field, part) for part in _split_csv(text)]


def _parse_contains(field: Field[Any, Any], text: str) -> Any:
    if isinstance(field, JSONField):
        return _parse_json(field, text)
    if isinstance(field, ArrayField):
        return [_parse_exact(field.base_field, part) for part in _split_csv(text)]
    raise ValueError("only a list or JSON contains something.")


def _split_csv(text: str) -> list[str]:
    """``a,b``; what holds a comma is quoted, as in CSV."""
    [parts] = csv.reader([text], strict=True, skipinitialspace=True) if text else [[""]]
    return parts
