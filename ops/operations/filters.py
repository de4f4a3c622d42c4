"""Parse conditions on a model's columns as typed: ``rarity=rare``, ``rarity_v2__isnull=true``."""

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

# The lookups that may follow a column's name, and their help.
LOOKUPS = {
    "isnull": "NAME__isnull=true for NULL, =false for any value",
    "in": "NAME__in=A,B for any of these values",
    "contains": "NAME__contains=A,B for lists that have all of these values",
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


def build_filter_kwargs(model: type[Model], conditions: Mapping[str, str | None]) -> dict[str, Any]:
    """Build keyword arguments for ``QuerySet.filter``; None means NULL. Raises InvalidScope."""
    return dict(_parse_condition(model, name, text) for name, text in conditions.items())


def parse_value(field: Field[Any, Any], text: str | None, is_key: bool = False) -> Any:
    """Parse a value to the column's Python type. Raises InvalidScope."""
    return _parse_or_raise(field, str(field.name), text, lambda: _to_python(field, text, is_key))


def _parse_condition(model: type[Model], name: str, text: str | None) -> tuple[str, Any]:
    column, _, lookup = name.rpartition("__") if "__" in name else (name, "", "")
    field = _resolve_field(model, name, column, lookup)
    if text is None:
        return f"{column}__isnull", True
    parsers = {"": _parse_exact, "isnull": _parse_boolean, "in": _parse_in, "contains": _parse_contains}
    return name, _parse_or_raise(field, name, text, lambda: parsers[lookup](field, text))


def _resolve_field(model: type[Model], name: str, column: str, lookup: str) -> Field[Any, Any]:
    table = model._meta.concrete_model or model
    fields = {field.name: field for field in table._meta.local_concrete_fields}
    by_attribute = {field.attname: field for field in fields.values()}
    by_name = {**by_attribute, **fields}
    if column not in by_name or lookup not in ("", *LOOKUPS):
        message = f"{model._meta.label} has no column {name!r}; it has {', '.join(fields)}"
        if column in by_name:
            lookups = "; ".join(LOOKUPS.values()).replace("NAME", column)
            message = f"{message}. For {column}, type {column}=VALUE, or {lookups}"
        raise InvalidScope(message)
    return by_name[column]


def _parse_or_raise(field: Field[Any, Any], name: str, text: str | None, parse: Callable[[], Any]) -> Any:
    try:
        _check_storable(text or "")
        return parse()
    except (ValidationError, ValueError, csv.Error) as exc:
        reason = " ".join(exc.messages) if isinstance(exc, ValidationError) else str(exc)
        if isinstance(exc, json.JSONDecodeError):
            reason = "this is not JSON."
        null = f" For NULL: {field.name}__isnull=true" if text in ("", "null", "NULL", "None") else ""
        raise InvalidScope(f"{name}={truncate(escape_control_chars(text or ''))}: {reason}{null}") from exc


def _check_storable(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("this is not UTF-8.") from None
    if "\0" in text:
        raise ValueError("a text cannot contain a NUL character.")


def _parse_exact(field: Field[Any, Any], text: str) -> Any:
    value = _to_python(field, text)
    if value is None and not isinstance(field, JSONField):
        raise ValueError("a value is missing.")
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
        raise ValueError("type true or false.")
    return _BOOLEANS[text.lower()]


def _parse_json(field: Field[Any, Any], text: str | None) -> Any:
    try:
        value = json.loads(text or "")
    except ValueError:
        raise ValueError("type JSON; a text needs quotes: '\"rare\"', '{\"level\": 3}'.") from None
    return Value(None, JSONField()) if value is None else value


def _parse_array(field: ArrayField[Any, Any], text: str | None) -> Any:
    try:
        value = json.loads(text or "")
    except ValueError:
        value = None
    if not isinstance(value, list):
        raise ValueError(
            f"the column is a list. If it must contain the value: {field.name}__contains={text or 'VALUE'}."
            f" If it must contain nothing else: {field.name}='{json.dumps([text or 'VALUE'])}'."
        )
    return field.to_python(json.dumps(value))


def _parse_in(field: Field[Any, Any], text: str) -> list[Any]:
    if isinstance(field, JSONField | ArrayField):
        raise ValueError("__in cannot be used with lists and JSON.")
    return [_parse_exact(field, part) for part in _split_csv(text)]


def _parse_contains(field: Field[Any, Any], text: str) -> Any:
    if isinstance(field, JSONField):
        return _parse_json(field, text)
    if isinstance(field, ArrayField):
        return [_parse_exact(field.base_field, part) for part in _split_csv(text)]
    raise ValueError("__contains can be used only with lists and JSON.")


def _split_csv(text: str) -> list[str]:
    """Split ``a,b``; a value that contains a comma is quoted, as in CSV."""
    [parts] = csv.reader([text], strict=True, skipinitialspace=True) if text else [[""]]
    return parts


def quote_value(text: str) -> str:
    """Return the text of a condition with one value, which may contain a comma."""
    return '"' + text.replace('"', '""') + '"'
