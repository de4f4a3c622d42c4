"""Converters of a pack's values to the values of columns; they raise BadValue with the reason."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from unicodedata import normalize

import simplejson
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator, ProhibitNullCharactersValidator
from django.db import models

from cards.packs.errors import BadValue
from ops.formatting import quote_truncated, truncate
from ops.json_depth import TOO_DEEP, is_too_deep
from ops.json_reader import DuplicateKey, ExactDecoder, format_decode_error

Converter = Callable[[Any], Any]

# A jsonb value is limited to 268 MB, and the audit log stores the old and the new value in one.
MAX_VALUE_BYTES = 60_000_000
_LONG_LIST_ITEMS = 100_000
# As spreadsheets write them, in English or Spanish. "1.000" is ambiguous (1 or 1,000) and is refused.
_TRUE_WORDS, _FALSE_WORDS = {"true", "yes", "1", "verdadero", "sí", "si"}, {"false", "no", "0", "falso"}
_INTEGER_PATTERN = re.compile(r"([+-]?[0-9]{1,18})(?:[.,]0{1,2})?")
_NUL_ESCAPE_PATTERN = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_encode_json = simplejson.JSONEncoder(ensure_ascii=False).encode


def converter_for(field: models.Field[Any, Any], *, blank: bool = False) -> Converter:
    """Return the converter of a field's values for the staging table; it raises BadValue.

    Blank texts are refused unless the field allows them or ``blank`` is set, which leaves it to the database.
    """
    if isinstance(field, ArrayField):
        item = _text_converter(field.base_field.max_length, blank=blank)
        return lambda value: _check_list_length([item(tag) for tag in _to_list(value)])
    if isinstance(field, models.JSONField):
        return _to_dict
    if isinstance(field, models.BooleanField):
        return _to_boolean
    if isinstance(field, models.IntegerField):
        return _validating_converter(field, _to_integer)
    if isinstance(field, models.DateTimeField):
        return _to_timestamp
    return _validating_converter(field, _text_converter(field.max_length, blank=blank or field.blank))


def normalize_nfc(text: str) -> str:
    """Normalize to NFC: macOS decomposes file names (NFD), which look the same but compare unequal."""
    return text if text.isascii() else normalize("NFC", text)


def nfc_converter(convert: Converter) -> Converter:
    """Return a converter of identifiers that normalizes them to NFC."""
    return lambda value: normalize_nfc(convert(value))


def to_json(value: Any) -> str:
    """Encode JSON for the staging table; Decimals keep all digits, since no float is involved."""
    try:
        text = _encode_json(value)
    except RecursionError as exc:
        raise BadValue(f"is {TOO_DEEP}") from exc
    _check_length(text)
    if is_too_deep(text):
        raise BadValue(f"is {TOO_DEEP}")
    if "\\u0000" in text and _NUL_ESCAPE_PATTERN.search(text):
        raise BadValue("contains a NUL character (\\u0000), which PostgreSQL cannot store")
    _check_surrogates(text)
    return text


def _text_converter(max_length: int | None, *, blank: bool) -> Converter:
    def convert(value: Any) -> str:
        if type(value) is not str:
            raise BadValue(f"is {_describe_type(value)}, not text")
        if max_length and len(value) > max_length:
            raise BadValue(f"has {len(value)} characters, {max_length} at most")
        if not max_length:
            _check_length(value)
        if not blank and (not value or value.isspace()):
            raise BadValue("is empty")
        if "\x00" in value:
            raise BadValue("contains a NUL character (\\u0000), which PostgreSQL cannot store")
        if not value.isascii():
            _check_surrogates(value)
        return value

    return convert


def _validating_converter(field: models.Field[Any, Any], convert: Converter) -> Converter:
    """Add the field's validators, except those that the converter already covers faster."""
    redundant = (MaxLengthValidator, ProhibitNullCharactersValidator)
    validators = [validate for validate in field.validators if not isinstance(validate, redundant)]
    if not validators:
        return convert

    def convert_and_validate(value: Any) -> Any:
        converted = convert(value)
        try:
            for validate in validators:
                validate(converted)
        except ValidationError as exc:
            raise BadValue(f"is {truncate(repr(converted))}: {' '.join(exc.messages)}") from exc
        return converted

    return convert_and_validate


def _to_list(value: Any) -> list[Any]:
    if isinstance(value, str) and value.startswith("["):  # a JSON list as text
        value = _decode_json(value)
    if isinstance(value, str):  # a cell of CSV
        return [tag.strip() for tag in re.split(r"[;|]", value) if tag.strip()]
    if not isinstance(value, list):
        raise BadValue(f"is {_describe_type(value)}, not a list")
    return value


def _to_dict(value: Any) -> dict[str, Any]:
    if isinstance(value, str):  # a cell of CSV
        value = _decode_json(value)
    if isinstance(value, DuplicateKey):
        raise BadValue(f'gives "{truncate(value.key)}" twice')
    if not isinstance(value, dict):
        raise BadValue(f"is {_describe_type(value)}, not an object")
    return value


def _decode_json(text: str) -> Any:
    try:
        return ExactDecoder().decode(text)
    except simplejson.JSONDecodeError as exc:
        raise BadValue(f"is not JSON: {format_decode_error(exc)} at character {exc.pos + 1}") from exc
    except ValueError as exc:
        raise BadValue(f"is not JSON: {exc}") from exc


def _to_boolean(value: Any) -> bool:
    if isinstance(value, str) and value.lower() in _TRUE_WORDS | _FALSE_WORDS:
        return value.lower() in _TRUE_WORDS
    if not isinstance(value, bool):
        raise BadValue(f"is {_describe_type(value)}, not true or false")
    return value


def _to_timestamp(value: Any) -> str:
    try:
        when = datetime.fromisoformat(value)
        # In UTC: PostgreSQL does not accept every offset that Python does, such as +23:00.
        return (when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)).isoformat()
    except (TypeError, ValueError, OverflowError) as exc:
        raise BadValue(f"is {_describe_type(value)}, not a time such as 2026-01-31T12:00:00Z") from exc


def to_source_key(value: Any) -> str:
    """Convert the key of a row in the source system: a number or text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(to_primary_key(value))
    return str(_convert_text_key(value))


def to_primary_key(value: Any) -> str:
    """Convert the primary key of a row of KYNDO: a number, or its text."""
    number = _to_integer(value)
    if not 0 < number < 1 << 63:
        raise BadValue(f"is {_describe_type(value)}, which is not a valid id")
    return str(number)


def _to_integer(value: Any) -> int:
    if isinstance(value, str) and (match := _INTEGER_PATTERN.fullmatch(value.strip())):
        return int(match[1])
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadValue(f"is {_describe_type(value)}, not a whole number")
    return value


def _check_list_length(items: list[str]) -> list[str]:
    if len(items) > _LONG_LIST_ITEMS:
        _check_length("".join(items))
    return items


def _check_length(text: str) -> None:
    if len(text) * 4 > MAX_VALUE_BYTES and (size := len(text.encode(errors="replace"))) > MAX_VALUE_BYTES:
        raise BadValue(f"has {size:,} bytes, {MAX_VALUE_BYTES:,} at most")


def _check_surrogates(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        half = f"\\u{ord(text[exc.start]):04x}"
        raise BadValue(f"contains half a surrogate pair ({half}), which is not Unicode") from exc


def _describe_type(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | Decimal():
            return f"the number {truncate(str(value))}"
        case str():
            return f"the text {quote_truncated(value, 41)}"
        case list():
            return "a list"
        case None:
            return "null"
        case _:
            return "an object"


_convert_text_key = _text_converter(255, blank=False)
