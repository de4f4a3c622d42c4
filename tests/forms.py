"""The fields of a form on a page, with the values that a browser would send."""

from html.parser import HTMLParser
from typing import Any

from django.test import Client


class _FormFieldParser(HTMLParser):
    """Collects the names and values of a form's fields; line breaks as a browser sends them."""

    def __init__(self, form_id: str) -> None:
        super().__init__()
        self.form_id, self.is_inside = form_id, False
        self.values: dict[str, str] = {}
        self.open_textarea: str | None = None
        self.open_select: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.is_inside = attributes.get("id", "") == self.form_id
        name = attributes.get("name", "")
        if not self.is_inside:
            return
        if tag == "input" and name and attributes.get("type") not in ("submit", "button"):
            self._read_input(name, attributes)
        elif tag == "textarea":
            self.open_textarea = name
            self.values[name] = ""
        elif tag == "select":
            self.open_select = name
        elif (
            tag == "option"
            and self.open_select
            and ("selected" in attributes or self.open_select not in self.values)
        ):
            self.values[self.open_select] = attributes.get("value", "")

    def _read_input(self, name: str, attributes: dict[str, str]) -> None:
        value = attributes.get("value", "")
        if attributes.get("type") == "checkbox":
            if "checked" in attributes:
                self.values[name] = value or "on"
        elif attributes.get("type") == "hidden":
            self.values[name] = value
        else:
            self.values[name] = value.replace("\r", "").replace("\n", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self.open_textarea is not None:
            text = self.values[self.open_textarea].replace("\r\n", "\n").replace("\r", "\n")
            self.values[self.open_textarea] = text.removeprefix("\n").replace("\n", "\r\n")
            self.open_textarea = None
        if tag == "select":
            self.open_select = None
        if tag == "form":
            self.is_inside = False

    def handle_data(self, data: str) -> None:
        if self.open_textarea is not None:
            self.values[self.open_textarea] += data


def parse_form_fields(page: Any, form_id: str) -> dict[str, str]:
    parser = _FormFieldParser(form_id)
    parser.feed(page.content.decode())
    return parser.values


def fetch_change_form_fields(client: Client, url: str) -> dict[str, str]:
    """Return what a browser sends when the change form at the URL is saved unedited."""
    page = client.get(url)
    return parse_form_fields(page, page.context["opts"].model_name + "_form")
