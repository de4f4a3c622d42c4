"""What the tests of the admin read from pages and post to them."""

import re
from typing import Any

from django.test import Client


def page_text(page: Any) -> str:
    """Return the visible text of the page, without icons, with single spaces."""
    content = page.content.decode()
    content = re.sub(r'<span class="material-symbols[^>]*>[^<]*</span>', " ", content)
    return " ".join(re.sub(r"<[^>]+>", " ", content).split())


def post_action(staff: Client, *keys: str, query: str = "", action: str = "backfill_rarity_v2") -> str:
    """Return the URL to which the list of cards redirects for an action on these keys, or on all rows."""
    data = {"action": action, "_selected_action": keys or ["1"], "select_across": "0" if keys else "1"}
    response = staff.post(f"/admin/cards/card/?{query}", data)
    assert response.status_code == 302
    return response.headers["Location"]


def get_with_preview(staff: Client, url: str) -> Any:
    """Return the page of a new run with its preview, for which a browser asks once it shows the page."""
    return staff.get(f"{url}{'&' if '?' in url else '?'}part=page")


def confirmation_data(page: Any, **changed: str) -> dict[str, str]:
    """Return what a browser posts from a confirmation page; ``with_to_rarity="epic"`` changes a field."""
    forms = [form for form in (page.context["form"], page.context["execution_form"]) if form]
    fields = {bound.html_name: bound.value() for form in forms for bound in form}
    values = {name: "on" if value is True else str(value or "") for name, value in fields.items()}
    values |= {name.replace("_", "-", 1): value for name, value in changed.items()}
    unticked = [name for name, value in fields.items() if value is False]
    return {"answered": "1"} | {
        name: value for name, value in values.items() if value or name not in unticked
    }
