"""The buttons of a card's history that undo a change, or one field of it."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from cards.models import Card
from ops.models import AuditLog, ChangeSet
from tests.admin_pages import page_text
from tests.ops.change_setting import apply, make_card
from tests.ops.test_undo import edit

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def card() -> Card:
    return make_card()


def undo(client: Client, card: Card, audit: AuditLog, column: str = "") -> Any:
    data = {"audit": audit.pk, "column": column}
    return client.post(f"/admin/cards/card/{card.pk}/undo/", data, follow=True)


def test_a_field_of_a_change_is_undone_on_a_page_that_previews_it(admin_client: Client, card: Card) -> None:
    audit = edit(card, title="wrong", pack_id="q")
    page = admin_client.get(f"/admin/cards/card/{card.pk}/history/")
    assert page_text(page).count("Undo") == 3  # each field, and both
    shown = undo(admin_client, card, audit, "title")
    change_set = ChangeSet.objects.get()
    assert shown.redirect_chain == [(f"/admin/cards/card/changeset/{change_set.pk}/", 302)]
    text = page_text(shown)
    assert "Undo: title" in text
    assert "wrong → t" in text
    assert change_set.columns == ["title"]


def test_what_somebody_changed_since_is_shown_with_the_choice_to_overwrite(
    admin_client: Client, card: Card
) -> None:
    audit = edit(card, title="wrong")
    Card.objects.update(title="theirs")
    shown = undo(admin_client, card, audit)
    text = page_text(shown)
    assert "wrong → t" in text
    assert "now: theirs" in text
    assert "overwrite" in text
    assert 'name="overwrite"' in shown.content.decode()


def test_a_refused_undo_says_why_on_the_history(admin_client: Client, card: Card) -> None:
    created = AuditLog.objects.create(
        action="admin_add",
        object_type="cards.card",
        object_id=card.pk,
        performed_by="bob",
        changes={"title": {"old": None, "new": "t"}},
    )
    assert "Undo" not in page_text(admin_client.get(f"/admin/cards/card/{card.pk}/history/"))
    shown = undo(admin_client, card, created)
    assert shown.redirect_chain == [(f"/admin/cards/card/{card.pk}/history/", 302)]
    assert "Nothing was undone. Only changes of fields can be undone" in page_text(shown)


def test_only_who_may_change_cards_is_offered_an_undo(client: Client, card: Card) -> None:
    audit = edit(card, title="wrong")
    bob = User.objects.create_user("bob", is_staff=True)
    bob.user_permissions.set(Permission.objects.filter(codename="view_card"))
    client.force_login(bob)
    assert "Undo" not in page_text(client.get(f"/admin/cards/card/{card.pk}/history/"))
    assert undo(client, card, audit).status_code == 403
    assert not ChangeSet.objects.exists()


@pytest.mark.parametrize(("key", "status"), [("x", 400), ("", 400), ("\0", 400), ("999999", 404)])
def test_an_undo_of_no_change_of_this_card_is_refused(
    admin_client: Client, card: Card, key: str, status: int
) -> None:
    url = f"/admin/cards/card/{card.pk}/undo/"
    assert admin_client.post(url, {"audit": key}).status_code == status
    assert admin_client.get(url).status_code == 405


def test_a_change_of_another_card_is_not_undone(admin_client: Client, card: Card) -> None:
    audit = edit(make_card(2), title="wrong")
    assert undo(admin_client, card, audit).status_code == 404


def test_each_button_says_what_it_undoes(admin_client: Client, card: Card) -> None:
    edit(card, title="wrong", pack_id="q")
    content = admin_client.get(f"/admin/cards/card/{card.pk}/history/").content.decode()
    labels = re.findall(r'aria-label="(Undo [^"]*)"', content)
    assert [re.sub(r" (today|yesterday|\d).*", "", label) for label in labels] == [
        "Undo Title, changed by bob",
        "Undo Pack id, changed by bob",
        "Undo the change by bob",
    ]


def test_an_overwriting_undo_is_told_as_such(admin_client: Client, card: Card) -> None:
    audit = edit(card, title="wrong")
    Card.objects.update(title="theirs")
    undo(admin_client, card, audit)
    run = apply(ChangeSet.objects.get(), overwrite="on")
    text = page_text(admin_client.get(f"/admin/cards/card/{card.pk}/history/"))
    assert "(apply change set, overwriting newer values)" in text
    facts = page_text(admin_client.get(f"/admin/ops/run/{run.pk}/live/"))
    assert "Overwrite yes" in facts
    assert f"those of change set {ChangeSet.objects.get().pk}" in facts
