"""The page of an audit row: the changes as they were stored, links to the object and the run."""

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.utils import timezone

from cards.models import Card
from ops.models import AuditLog, Run
from tests.admin_pages import page_text

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


def create_page(client: Client, **values: object) -> str:
    """Create an audit row with these values and return its page."""
    values = {"action": "a", "performed_by": "p", "object_type": "cards.card", "changes": {}} | values
    row = AuditLog.objects.create(**values)
    return client.get(f"/admin/ops/auditlog/{row.pk}/change/").content.decode()


def create_card() -> tuple[Card, str]:
    card = Card.objects.create(card_id="c", title="<cóndor>", pack_id="aves")
    return card, f'href="/admin/cards/card/{card.pk}/change/"'


def test_characters_are_shown_unescaped_and_markup_is_escaped(staff: Client) -> None:
    changes = {"metadata": {"old": {"name": "cóndor"}, "new": {"name": "águila <b>"}}, "title": {"von": "ñ"}}
    content = create_page(staff, object_id="1", changes=changes, metadata={"<i>": ["búho"]})
    assert "\\u" not in content
    assert "<b>" not in content
    assert "&lt;i&gt;" in content
    for text in ("cóndor", "águila &lt;b&gt;", "{&quot;von&quot;: &quot;ñ&quot;}", "búho"):
        assert text in content


def test_the_page_links_to_the_object_and_to_the_run(staff: Client) -> None:
    card, link = create_card()
    values = {"operation": "o", "model": "cards.card", "columns": [], "as_of": timezone.now(), "total": 1}
    run = Run.objects.create(**values)
    content = create_page(staff, object_id=str(card.pk), run=run)
    assert f"{link}>&lt;cóndor&gt;</a>" in content
    assert f'href="/admin/ops/run/{run.pk}/change/">run {run.pk}</a>' in content


@pytest.mark.parametrize(
    ("label", "key"),
    [
        ("cards.card", "987654"),
        ("cards.card", "9" * 99),
        ("cards.card", "bichofué"),
        ("ops.lane", "1"),
        ("cards.gone", "1"),
        ("Card", "clx1"),
        ("a.b.c", "1"),
    ],
)
def test_an_object_without_a_page_is_shown_by_its_key(staff: Client, label: str, key: str) -> None:
    content = create_page(staff, object_type=label, object_id=key)
    assert f"<strong>{key}</strong>" in content
    assert f"<dd>{label} {key}</dd>" in content
    assert f"/{key}/change/" not in content


@pytest.mark.parametrize("codenames", [[], ["view_card"], ["view_run"]])
def test_an_object_is_linked_only_for_users_who_may_view_it(client: Client, codenames: list[str]) -> None:
    bob = User.objects.create_user("bob", is_staff=True)
    bob.user_permissions.set(Permission.objects.filter(codename__in=["view_auditlog", *codenames]))
    client.force_login(bob)
    card, link = create_card()
    content = create_page(client, object_id=str(card.pk), run_id=7)
    assert (link in content, "cóndor" in content) == ("view_card" in codenames, "view_card" in codenames)
    assert "run 7" in content


def test_numbers_are_shown_with_their_stored_digits(staff: Client) -> None:
    content = create_page(staff, object_id="1", changes={})
    changes = '{"n": {"old": 1.10, "new": {"x": 0.12345678901234567890123}}}'
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_logs (action, object_type, object_id, performed_by, changes, metadata)"
            " VALUES ('a', 't', '1', 'p', %s, '[1.0]')",
            [changes],
        )
    row = AuditLog.objects.latest("pk")
    content = staff.get(f"/admin/ops/auditlog/{row.pk}/change/").content.decode()
    for digits in (">1.10<", "0.12345678901234567890123", "1.0\n"):
        assert digits in content
    assert "n 1.10 → {&quot;x&quot;: 0.12345678901234567890123}" in page_text(
        staff.get("/admin/ops/auditlog/")
    )
