"""Lossless form fields: an unedited value comes back unchanged, to the last digit and space."""

from __future__ import annotations

import json
import re
from typing import Any

from django import forms
from django.contrib.postgres.forms import SimpleArrayField
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminExpandableTextareaWidget

from ops.exceptions import InvalidContent
from ops.json_depth import TOO_DEEP, is_too_deep
from ops.sql.json_text import normalize_json

_LINE_BREAK = re.compile("\r\n|\r|\n")
# Matches a list item that cannot stand on a line as it is.
_NEEDS_QUOTES = re.compile(r'|\s.*|.*\s|".*|.*[\r\n].*', re.DOTALL)


def normalize_line_breaks(text: str, widget: forms.Widget) -> str:
    """Return the text as a browser would send it back from the widget, with line feeds for line breaks."""
    return _LINE_BREAK.sub("\n" if isinstance(widget, forms.Textarea) else "", text)


class Textarea(UnfoldAdminExpandableTextareaWidget):  # type: ignore[misc]
    """A textarea as high as its text, with Django's template, which starts with an extra line break.

    A browser drops the first line break of a textarea; with unfold's template that would be the value's own.
    """

    template_name = "django/forms/widgets/textarea.html"


class ListTextarea(Textarea):
    """A list as chips; without scripts as text, one item a line."""

    template_name = "ops/admin/list_widget.html"

    class Media:
        css = {"all": ["ops/editors.css"]}
        js = ["ops/list_editor.js"]

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"data-editor": "list", **(attrs or {})})


class JSONTextarea(Textarea):
    """A JSON object as a tree; without scripts as text."""

    class Media:
        css = {"all": ["ops/editors.css"]}
        js = ["ops/json_parser.js", "ops/json_editor.js"]

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"data-editor": "json", **(attrs or {})})


class LosslessField(forms.Field):
    """A field whose ``has_changed`` compares the stored value with the data that a browser sent."""


class TextField(forms.CharField):
    """Multi-line text. Keeps spaces at both ends; converts line breaks to line feeds."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "strip": False})

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        return _LINE_BREAK.sub("\n", text) if isinstance(text, str) else text


class JSONField(LosslessField, forms.JSONField):
    """JSON kept as text between form and database, since Python's floats lose digits of numbers.

    ``text`` is the normalized text that was parsed last. The Python value is only for validators: its numbers
    are strings.
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
        check_json(text)
        try:
            return normalize_json(text)
        except InvalidContent as exc:
            raise ValidationError(f"PostgreSQL cannot store this JSON: {exc}") from exc


class ListField(LosslessField, SimpleArrayField):
    """A list with one item per line. An item that a line cannot show as it is, is quoted as a JSON string."""

    def __init__(self, base_field: forms.Field, **kwargs: Any) -> None:
        if isinstance(base_field, forms.CharField):
            base_field.strip = False
        super().__init__(base_field, **kwargs)

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


def check_json(text: str) -> None:
    """Raise ValidationError, with the place, unless the text is JSON and names no key twice."""
    try:
        json.loads(text, object_pairs_hook=_reject_duplicate_keys, parse_float=str, parse_int=str)
    except json.JSONDecodeError as exc:
        raise ValidationError(f"Enter valid JSON. Line {exc.lineno}, column {exc.colno}: {exc.msg}.") from exc
    except RecursionError as exc:
        raise ValidationError(f"This JSON is {TOO_DEEP}.") from exc
    if is_too_deep(text):
        raise ValidationError(f"This JSON is {TOO_DEEP}.")


def _reject_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        names = [name for name, _ in pairs]
        duplicate = next(name for name in names if names.count(name) > 1)
        raise ValidationError(f"The key {json.dumps(duplicate, ensure_ascii=False)} appears twice.")
    return document


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
        raise ValidationError(
            f'{line} begins with a quote: write it as a JSON string, for example "a \\"b\\"".'
        )
    return item
