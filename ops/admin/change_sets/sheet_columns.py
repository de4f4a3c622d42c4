"""The columns of a sheet, and their values as the text of a cell: unedited, it comes back exactly."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db.models import CharField, Expression, F, Field, JSONField, Model, TextField
from django.db.models.functions import Cast, Left
from django.utils.text import capfirst

from ops.admin.values.fields import check_json

# A longer value is shown in part, and edited on the page of its row.
MAX_CELL_LENGTH = 10_000
LINE, TEXT, LIST, JSON = "line", "text", "list", "json"
_KINDS: Sequence[tuple[type[Field[Any, Any]], str]] = (
    (JSONField, JSON),
    (ArrayField, LIST),
    (TextField, TEXT),
    (CharField, LINE),
)
_ITEM = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[^,\r\n]*)\s*(?:[,\r\n]|\Z)', re.DOTALL)
# An item that could not stand between commas as it is.
_NEEDS_QUOTES = re.compile(r'|\s.*|.*\s|["\[].*|.*[,\r\n].*', re.DOTALL)
_LONE_LINE_FEED = re.compile(r"(?<!\r)\n")


@dataclass(frozen=True)
class SheetColumn:
    """``empty`` is the text of the emptied cell; None if it cannot be empty."""

    name: str
    label: str
    kind: str
    choices: list[str]
    empty: str | None
    max_length: int | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def build_column(model: type[Model], name: str, choices: Sequence[str] = ()) -> SheetColumn:
    """Raises ImproperlyConfigured for a field that has no text of a cell."""
    field: Any = model._meta.get_field(name)
    kind = next((kind for field_class, kind in _KINDS if isinstance(field, field_class)), None)
    if kind is None:
        raise ImproperlyConfigured(f"{field} cannot be a column of a sheet: it is no text, list or JSON")
    empty = "" if field.blank else None
    if kind == JSON and field.blank and not field.null:
        empty = json.dumps(field.get_default())
    label = str(capfirst(field.verbose_name))
    return SheetColumn(name, label, kind, list(choices), empty, getattr(field, "max_length", None))


def cell_expression(model: type[Model], column: SheetColumn) -> Expression | F:
    """Return what is read of the column: of a text, no more than a cell shows, and one character."""
    if column.kind == LIST:
        return F(column.name)
    return Left(Cast(column.name, TextField()), MAX_CELL_LENGTH + 1)


def format_cell(column: SheetColumn, value: Any) -> Any:
    """Return the text; {"cut": text} where the value is too long for a cell; None for NULL."""
    text = format_list(value) if column.kind == LIST and value is not None else value
    return {"cut": text[:200]} if text is not None and len(text) > MAX_CELL_LENGTH else text


def format_list(items: Sequence[str]) -> str:
    """Write the items between commas; one that would not come back so, as a JSON string."""
    return ", ".join(
        json.dumps(item, ensure_ascii=False) if _NEEDS_QUOTES.fullmatch(item) else item for item in items
    )


def parse_list(text: str) -> list[str]:
    """Read items between commas or line breaks, or a JSON list of texts. Raises ValidationError."""
    if text.lstrip().startswith("["):
        return _parse_json_list(text)
    items, position = [], 0
    while position < len(text):
        match = _ITEM.match(text, position)
        if match is None or match.end() == position:
            break
        position = match.end()
        if item := match[1].strip():
            items.append(_parse_quoted(item) if item.startswith('"') else item)
    return items


def _parse_json_list(text: str) -> list[str]:
    try:
        items = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ValidationError(f"That is not a valid list: {exc}.") from exc
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ValidationError('A list that begins with [ has texts in quotes: ["one", "two"].')
    return items


def _parse_quoted(item: str) -> str:
    try:
        return str(json.loads(item, strict=False))
    except ValueError as exc:
        raise ValidationError(
            f'{item} begins with a quote: close it, and write a quote inside as \\", for example "a, b".'
        ) from exc


def parse_seen(column: SheetColumn, text: str | None) -> Any:
    """Return the value that the page showed as this text. Raises ValidationError."""
    return parse_list(text) if column.kind == LIST and text is not None else text


def parse_new(field: Field[Any, Any], column: SheetColumn, text: str | None, seen: str | None) -> Any:
    """Return the value of the text that a person typed or pasted. Raises ValidationError."""
    text = text or ""
    if not text.strip() and (field.null or column.kind == JSON):
        if field.null or column.empty is None:
            return None
        return column.empty
    if column.choices:
        return _parse_choice(column, text.strip())
    if column.kind == LIST:
        return parse_list(text)
    if column.kind == JSON:
        check_json(text)
        return text
    return _parse_line(column, text) if column.kind == LINE else _parse_text(text, seen or "")


def _parse_choice(column: SheetColumn, text: str) -> str:
    if text not in column.choices:
        raise ValidationError(f"“{text}” is not one of: {', '.join(column.choices)}.")
    return text


def _parse_line(column: SheetColumn, text: str) -> str:
    text = text.strip()
    if "\n" in text or "\r" in text:
        raise ValidationError(f"{column.label} is one line: this has a line break.")
    return text


def _parse_text(text: str, seen: str) -> str:
    """With line feeds, as browsers have them; with CR LF where all line breaks were CR LF before."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    keeps = "\r\n" in seen and not _LONE_LINE_FEED.search(seen)
    return text.replace("\n", "\r\n") if keeps else text
