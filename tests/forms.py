"""A form out of a page, sent as a browser sends it."""

from html.parser import HTMLParser
from typing import Any

from django.test import Client


class _FormFieldParser(HTMLParser):
    """The names and values of the fields of the form by its id; text as a browser shows and keeps it."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form_id, self.is_inside = form, False
        self.values: dict[str, str] = {}
        self.open_textarea: str | None = None
        self.open_select: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.is_inside = told.get("id", "") == self.form_id
        name = told.get("name", "")
        if not self.is_inside:
            return
        if tag == "input" and name and told.get("type") not in ("submit", "button"):
            self._read_input(name, told)
        elif tag == "textarea":
            self.open_textarea = name
            self.values[name] = ""
        elif tag == "select":
            self.open_select = name
        elif (
            tag == "option"
            and self.open_select
            and ("selected" in told or self.open_select not in self.values)
        ):
            self.values[self.open_select] = told.get("value", "")

    def _read_input(self, name: str, told: dict[str, str]) -> None:
        value = told.get("value", "")
        if told.get("type") == "checkbox":
            if "checked" in told:
                self.values[name] = value or "on"
        elif told.get("type") == "hidden":
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


def parse_form_fields(page: Any, form: str) -> dict[str, str]:
    reader = _FormFieldParser(form)
    reader.feed(page.content.decode())
    return reader.found


def fetch_change_form_fields(client: Client, address: str) -> dict[str, str]:
    """What a browser would send of the change form at an address, were it saved as it is."""
    page = client.get(address)
    return parse_form_fields(page, page.context["opts"].model_name + "_form")
