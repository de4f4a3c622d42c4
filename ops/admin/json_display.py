"""JSON as a person reads it: indented, its characters as they are."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import simplejson
from django.contrib import admin
from django.db.models import Field, JSONField, Model
from django.utils.html import format_html

from ops.sql.json_text import read_pretty_columns


def parse_json_exactly(text: str) -> Any:
    """JSON whose numbers are kept as they were written, for ``legible`` and ``line``."""
    return simplejson.loads(text, use_decimal=True, parse_int=Decimal)


def pretty_json(told: Any) -> str:
    return simplejson.dumps(told, indent=2, ensure_ascii=False)


def format_inline(told: Any) -> str:
    """A value in a line: text as it is."""
    if told is None:
        return "NULL"
    return told if isinstance(told, str) else simplejson.dumps(told, ensure_ascii=False)


def make_readable_field(name: str, model: type[Model]) -> str | Callable[[Model], str]:
    """The field as a page that cannot be edited takes it: there JSON would be shown with its escapes."""
    field = {field.name: field for field in model._meta.fields}.get(name)
    return _make_json_display(field) if isinstance(field, JSONField) else name


def _make_json_display(field: Field[Any, Any]) -> Callable[[Model], str]:
    @admin.display(description=str(field.verbose_name))
    def told(row: Model) -> str:
        return format_html(
            '<pre class="ops-json">{}</pre>', read_pretty_columns(row, [field.name])[field.name]
        )

    told.__name__ = field.name
    return told
