"""JSON for display: indented, without escapes, numbers as they were written."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import simplejson
from django.contrib import admin
from django.contrib.postgres.fields import ArrayField
from django.db.models import Field, JSONField, Model
from django.utils.html import format_html, format_html_join

from ops.sql.json_text import read_pretty_columns


def parse_json_exactly(text: str) -> Any:
    """Parse JSON without changing the digits of its numbers."""
    return simplejson.loads(text, use_decimal=True, parse_int=Decimal)


def pretty_json(value: Any) -> str:
    return simplejson.dumps(value, indent=2, ensure_ascii=False)


def format_inline(value: Any) -> str:
    """Format a value on one line: a string as it is, None as NULL, anything else as JSON."""
    if value is None:
        return "NULL"
    return value if isinstance(value, str) else simplejson.dumps(value, ensure_ascii=False)


def make_readable_field(name: str, model: type[Model]) -> str | Callable[[Model], str]:
    """Return what a read-only page shows for the field.

    Django would show JSON with escapes, and the items of a list separated by commas, which they may contain.
    """
    field = {field.name: field for field in model._meta.fields}.get(name)
    if isinstance(field, ArrayField):
        return _make_list_display(field)
    return _make_json_display(field) if isinstance(field, JSONField) else name


def _make_list_display(field: Field[Any, Any]) -> Callable[[Model], str]:
    @admin.display(description=str(field.verbose_name))
    def display(row: Model) -> str:
        items = ((item,) for item in getattr(row, field.attname) or ())
        chips = format_html_join("", '<li class="ops-chip">{}</li>', items)
        return format_html('<ul class="ops-chips">{}</ul>', chips)

    display.__name__ = field.name
    return display


def _make_json_display(field: Field[Any, Any]) -> Callable[[Model], str]:
    @admin.display(description=str(field.verbose_name))
    def display(row: Model) -> str:
        return format_html(
            '<pre class="ops-json">{}</pre>', read_pretty_columns(row, [field.name])[field.name]
        )

    display.__name__ = field.name
    return display
