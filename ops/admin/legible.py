"""JSON as a person reads it: indented, its characters as they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.db.models import Field, JSONField, Model
from django.utils.html import format_html


def legible(told: Any) -> str:
    return json.dumps(told, indent=2, ensure_ascii=False)


def shown(name: str, model: type[Model]) -> str | Callable[[Model], str]:
    """The field as a page that cannot be edited takes it: there JSON would be shown with its escapes."""
    field = {field.name: field for field in model._meta.fields}.get(name)
    return _legibly(field) if isinstance(field, JSONField) else name


def _legibly(field: Field[Any, Any]) -> Callable[[Model], str]:
    @admin.display(description=str(field.verbose_name))
    def told(row: Model) -> str:
        return format_html('<pre class="ops-json">{}</pre>', legible(field.value_from_object(row)))

    told.__name__ = field.name
    return told
