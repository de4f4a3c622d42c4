"""The history of a row: what changed, who did it and how, in words and marks."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from cards.models import Asset, Card, PresentationRule
from ops.formatting import format_time_in_words
from ops.models import AuditLog, Run
from tests.admin_pages import page_text

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


@pytest.fixture
def card() -> Card:
    PresentationRule.objects.create(rarity="rare", frame_color="#12AB34", sort_order=1)
    return Card.objects.create(card_id="c", title="<script>alert(1)</script>", pack_id="aves")


def audit(card: Card, changes: Any, **values: Any) -> AuditLog:
    values = {"action": "admin_change", "performed_by": "ada", "object_type": "cards.card"} | values
    return AuditLog.objects.create(object_id=str(card.pk), changes=changes, **values)


def create_run(**values: Any) -> Run:
    values = {"operation": "bulk_promote", "model": "cards.card", "columns": ["rarity"], "total": 1} | values
    return Run.objects.create(as_of=timezone.now(), performed_by="grace", **values)


def history(client: Client, card: Card, query: str = "") -> Any:
    return client.get(f"/admin/cards/card/{card.pk}/history/?{query}")


def entries(page: Any) -> list[str]:
    """The text of each entry, without its buttons."""
    content = re.sub("<button.*?</button>", "", page.content.decode(), flags=re.DOTALL)
    articles = re.findall("<article.*?</article>", content, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", article).split()) for article in articles]


def change(old: Any, new: Any, column: str = "title") -> dict[str, Any]:
    return {column: {"old": old, "new": new}}


def test_an_edit_in_the_admin_appears_in_the_history(staff: Client, card: Card) -> None:
    url = f"/admin/cards/card/{card.pk}/change/"
    page = staff.get(url)
    assert f'href="/admin/cards/card/{card.pk}/history/"' in page.content.decode()
    form = page.context["adminform"].form
    data = {name: form[name].value() or "" for name in form.fields} | {"title": "A <b> bird", "tags": "andes"}
    staff.post(url, data)
    page = history(staff, card)
    assert entries(page) == ["Changed ada , by hand " + entries(page)[0].split("hand ")[1]]
    assert re.search(r"today \d\d:\d\d Title .* Tags \+ andes$", entries(page)[0])
    assert "<b>" not in page.content.decode()
    assert "<script>alert" not in page.content.decode()


def test_a_run_its_revert_and_a_rarity_are_shown(staff: Client, card: Card) -> None:
    run = create_run()
    audit(card, change("common", "rare", "rarity"), run=run, action="bulk_promote", performed_by="grace")
    revert = create_run(operation="revert", params={"run": run.pk})
    audit(card, change("rare", "common", "rarity"), run=revert, action="revert", performed_by="linus")
    page = history(staff, card)
    newer, older = entries(page)
    assert newer.startswith(f"Reverted linus , run {revert.pk} , which reverts run {run.pk} ")
    assert older.startswith(f"Changed grace , run {run.pk} (bulk promote) Reverted by run {revert.pk} ")
    assert older.endswith("Rarity common → rare")
    content = page.content.decode()
    assert f'href="/admin/ops/run/{run.pk}/change/"' in content
    assert 'class="cards-badge" style="background:#12AB34' in content


def test_runs_are_linked_only_for_users_who_may_view_them(client: Client, card: Card) -> None:
    run = create_run()
    audit(card, change("a", "b"), run=run)
    bob = User.objects.create_user("bob", is_staff=True)
    bob.user_permissions.set(Permission.objects.filter(codename="view_card"))
    client.force_login(bob)
    content = history(client, card).content.decode()
    assert f"run {run.pk}" in content
    assert "/ops/run/" not in content
    assert "/ops/auditlog/" not in content


def test_the_history_of_a_deleted_row_remains(staff: Client, card: Card) -> None:
    values = {"title": {"old": "<A>", "new": None}, "description": {"old": "", "new": None}}
    audit(
        card, {name: {"old": None, "new": each["old"]} for name, each in values.items()}, action="load_pack"
    )
    row = audit(card, values, action="admin_delete")
    key = card.pk
    card.delete()
    card.pk = key
    page = history(staff, card)
    assert [entry.split()[0] for entry in entries(page)] == ["Deleted", "Created"]
    assert "History of card &lt;A&gt; This card no longer exists. Its history stays." in page_text(page)
    assert f'href="/admin/cards/card/{key}/history/"' in staff.get("/admin/ops/auditlog/").content.decode()
    assert "no longer exists" in page_text(staff.get(f"/admin/ops/auditlog/{row.pk}/change/"))
    assert entries(page)[0].endswith("Title &lt;A&gt;")  # an empty description is not worth a line


def test_a_load_names_its_file(staff: Client, card: Card) -> None:
    audit(card, change("a", "b"), action="load_pack", metadata={"file": "birds <b>.csv"}, performed_by="root")
    assert "root , load pack of birds &lt;b&gt;.csv" in entries(history(staff, card))[0]


def test_a_history_is_filtered_by_field_and_person(staff: Client, card: Card) -> None:
    audit(card, change("a", "b"))
    audit(card, change("p", "q", "pack_id"), performed_by="grace")
    for query, shown in [("", 2), ("field=title", 1), ("person=grace", 1), ("field=title&person=grace", 0)]:
        assert len(entries(history(staff, card, query))) == shown, query
    assert "Choose another field or person" in page_text(history(staff, card, "field=title&person=grace"))
    assert history(staff, card, "field=nonsense").status_code == 400
    assert history(staff, card, "after=x").status_code == 400


def test_a_long_history_has_pages_without_gaps(staff: Client, card: Card) -> None:
    for n in range(120):
        audit(card, change(n, n + 1, "count"))
    seen, url = [], f"/admin/cards/card/{card.pk}/history/?field=&person=ada"
    while url:
        page = staff.get(url)
        seen += [int(entry.split()[-1]) for entry in entries(page)]
        url = page.context["next_url"] and f"/admin/cards/card/{card.pk}/history/{page.context['next_url']}"
    assert seen == list(range(120, 0, -1))


@pytest.mark.parametrize("key", ["987654", "x", "%00", "9" * 30])
def test_an_unknown_row_has_no_history(staff: Client, key: str) -> None:
    response = staff.get(f"/admin/cards/card/{key}/history/", follow=True)
    assert "There is no card" in page_text(response)


@pytest.mark.parametrize("model", ["card", "asset", "presentationrule"])
def test_a_row_without_changes_says_what_makes_one(staff: Client, card: Card, model: str) -> None:
    asset = {"asset_type": "a", "file_path": "a", "file_size": 1, "mime_type": "a/b"}
    Asset.objects.create(asset_key="a", card=card, **asset)
    row = {"card": Card, "asset": Asset, "presentationrule": PresentationRule}[model].objects.get()
    page = page_text(staff.get(f"/admin/cards/{model}/{row.pk}/history/"))
    assert "No change is recorded yet." in page
    assert "and save it, or run an operation on it" in page


@pytest.mark.parametrize("changes", [[1], "text", {"title": "x"}, {"title": {"von": 1}}, {"gone": {}}])
def test_imported_changes_of_any_shape_are_shown(staff: Client, card: Card, changes: Any) -> None:
    audit(card, changes)
    assert len(entries(history(staff, card))) == 1


@pytest.mark.parametrize(
    ("when", "words"),
    [
        (timedelta(minutes=5), "today 14:00"),
        (timedelta(hours=15), "yesterday 23:05"),
        (timedelta(days=2), "Monday 14:05"),
        (timedelta(days=7), "18 November 14:05"),
        (timedelta(days=365), "25 November 2025 14:05"),
        (timedelta(hours=-10), "26 November 00:05"),
    ],
)
def test_a_time_is_told_in_words(when: timedelta, words: str) -> None:
    now = datetime(2026, 11, 25, 14, 5)
    assert format_time_in_words(now - when, now) == words
