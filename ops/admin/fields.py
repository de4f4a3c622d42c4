"""Form fields that give back what they were given, down to the last digit and blank."""

from __future__ import annotations

import json
import re
from typing import Any

from django import forms
from django.contrib.postgres.forms import SimpleArrayField
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextareaWidget

from ops.exceptions import InvalidContent
from ops.sql.json_text import normalize_json

_LINE_BREAK = re.compile("\r\n|\r|\n")
# An item of a list that its line could not show as it is.
_NEEDS_QUOTES = re.compile(r'|\s.*|.*\s|".*|.*[\r\n].*', re.DOTALL)


def normalize_line_breaks(text: str, widget: forms.Widget) -> str:
    """The text as a browser sends it back from the widget, whichever line breaks it was given."""
    return _LINE_BREAK.sub("\n" if isinstance(widget, forms.Textarea) else "", text)


class Textarea(UnfoldAdminTextareaWidget):  # type: ignore[misc]
    """By Django's template: a browser drops a line break at the beginning, and unfold's has none to spare."""

    template_name = "django/forms/widgets/textarea.html"


class LosslessField(forms.Field):
    """``has_changed`` compares what is stored, as the form was given it, with what a browser sent."""


class TextField(forms.CharField):
    """Text of many lines, whose blanks at both ends are its own. Its line breaks are line feeds."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "strip": False})

    def to_python(self, value: Any) -> Any:
        found = super().to_python(value)
        return _LINE_BREAK.sub("\n", found) if isinstance(found, str) else found


class JSONField(LosslessField, forms.JSONField):
    """JSON as text, from the database and to it: Python's floats would not keep the digits of its numbers.

    ``text`` is what was read last. The value itself is for validators alone: its numbers are text.
    """

    text: str | None = None

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) else super().prepare_value(value)

    def bound_data(self, data: Any, initial: Any) -> Any:
        return data

    def to_python(self, value: Any) -> Any:
        self.text = None if value in self.empty_values else self._parse(str(value))
        return None if self.text is None else json.loads(self.text, parse_float=str, parse_int=str)

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            self.to_python(data)
        except ValidationError:
            return True
        return bool(self.text != initial)

    def _parse(self, text: str) -> str:
        try:
            json.loads(text, object_pairs_hook=_reject_duplicate_keys, parse_float=str, parse_int=str)
            return normalize_json(text)
        except json.JSONDecodeError as exc:
            raise ValidationError(
                f"Enter valid JSON. Line {exc.lineno}, column {exc.colno}: {exc.msg}."
            ) from exc
        except RecursionError as exc:
            raise ValidationError("It is nested too deeply.") from exc
        except InvalidContent as exc:
            raise ValidationError(f"PostgreSQL cannot store this JSON: {exc}") from exc


class ListField(LosslessField, SimpleArrayField):
    """A list, one item a line; one that its line could not show as it is stands in quotes, as JSON text."""

    def __init__(self, base_field: forms.Field, **kwargs: Any) -> None:
        if isinstance(base_field, forms.CharField):
            base_field.strip = False
        help_text = kwargs.pop("help_text", "") or "One a line, which may hold commas."
        super().__init__(base_field, help_text=help_text, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return "\n".join(_format_item(str(self.base_field.prepare_value(item))) for item in value)

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str):
            value = [_parse_item(line) for line in map(str.strip, _LINE_BREAK.split(value)) if line]
        return super().to_python(value)

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.to_python(data) != (initial or []))
        except ValidationError:
            return True


def _reject_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    told = dict(pairs)
    if len(told) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValidationError(f"The key {json.dumps(repeated, ensure_ascii=False)} is given twice.")
    return told


def _format_item(item: str) -> str:
    return json.dumps(item, ensure_ascii=False) if _NEEDS_QUOTES.fullmatch(item) else item


def _parse_item(line: str) -> str:
    if not line.startswith('"'):
        return line
    try:
        item = json.loads(line)
    except ValueError:
        item = None
    if not isinstance(item, str):
        raise ValidationError(f'{line} begins with a quote: write it as JSON text, as "a \\"b\\"".')
    return item
