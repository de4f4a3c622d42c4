"""The page of an audit row: what changed, as it was written, and the way to what it speaks of."""

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.utils import timezone

from cards.models import Card
from ops.models import AuditLog, Run

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


def page(client: Client, **told: object) -> str:
    """The page of a new audit row, whose object is the first card unless it is told."""
    told = {"action": "a", "performed_by": "p", "object_type": "cards.card", "changes": {}} | told
    row = AuditLog.objects.create(**told)
    return client.get(f"/admin/ops/auditlog/{row.pk}/change/").content.decode()


def a_card() -> tuple[Card, str]:
    card = Card.objects.create(card_id="c", title="<cóndor>", pack_id="aves")
    return card, f'href="/admin/cards/card/{card.pk}/change/"'


def test_every_character_is_shown_as_it_is_and_none_becomes_markup(staff: Client) -> None:
    changes = {"metadata": {"old": {"name": "cóndor"}, "new": {"name": "águila <b>"}}, "title": {"von": "ñ"}}
    shown = page(staff, object_id="1", changes=changes, metadata={"<i>": ["búho"]})
    assert "\\u" not in shown
    assert "<b>" not in shown
    assert "&lt;i&gt;" in shown
    for said in ("cóndor", "águila &lt;b&gt;", "{&quot;von&quot;: &quot;ñ&quot;}", "búho"):
        assert said in shown


def test_it_leads_to_the_object_and_to_the_run(staff: Client) -> None:
    card, address = a_card()
    asked = {"operation": "o", "model": "cards.card", "columns": [], "as_of": timezone.now(), "total": 1}
    run = Run.objects.create(**asked)
    shown = page(staff, object_id=str(card.pk), run=run)
    assert f"{address}>&lt;cóndor&gt;</a>" in shown
    assert f'href="/admin/ops/run/{run.pk}/change/">run {run.pk} (o)</a>' in shown


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
def test_an_object_that_has_no_page_is_named_by_its_key(staff: Client, label: str, key: str) -> None:
    shown = page(staff, object_type=label, object_id=key)
    assert f"<dd>{label} {key}</dd>" in shown


@pytest.mark.parametrize("others", [[], ["view_card"], ["view_run"]])
def test_only_who_may_see_an_object_is_led_to_it(client: Client, others: list[str]) -> None:
    bob = User.objects.create_user("bob", is_staff=True)
    bob.user_permissions.set(Permission.objects.filter(codename__in=["view_auditlog", *others]))
    client.force_login(bob)
    card, address = a_card()
    shown = page(client, object_id=str(card.pk), run_id=7)
    assert (address in shown, "cóndor" in shown) == ("view_card" in others, "view_card" in others)
    assert "<dd>7</dd>" in shown


def test_numbers_are_shown_with_the_digits_that_were_written(staff: Client) -> None:
    shown = page(staff, object_id="1", changes={})
    changes = '{"n": {"old": 1.10, "new": {"x": 0.12345678901234567890123}}}'
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_logs (action, object_type, object_id, performed_by, changes, metadata)"
            " VALUES ('a', 't', '1', 'p', %s, '[1.0]')",
            [changes],
        )
    row = AuditLog.objects.latest("pk")
    shown = staff.get(f"/admin/ops/auditlog/{row.pk}/change/").content.decode()
    for digits in (">1.10<", "0.12345678901234567890123", "1.0\n"):
        assert digits in shown
    assert "n: 1.10 → " in staff.get("/admin/ops/auditlog/").content.decode()
