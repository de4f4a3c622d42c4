"""A single change of a row's history, or one field of it, undone by a change set."""

from typing import Any

import pytest
from django.core.exceptions import PermissionDenied

from cards.models import Card
from ops.change_sets.undo import UndoRefused, stage_undo
from ops.models import AuditLog
from ops.sql.recorded import audit_changes
from tests.ops.change_setting import apply, columns, make_card, make_editor
from tests.ops.running import audited_changes, execute_sql

pytestmark = pytest.mark.django_db(transaction=True)


def edit(card: Card, **values: Any) -> AuditLog:
    """Change the card by hand, as its form does, and return the audit row."""
    with audit_changes(card, "admin_change", "bob"):
        for name, value in values.items():
            setattr(card, name, value)
        card.save(update_fields=list(values))
    return AuditLog.objects.latest("pk")


def test_an_undone_change_is_set_back_and_audited_as_what_it_is() -> None:
    card = make_card()
    audit = edit(card, title="wrong", pack_id="q")
    run = apply(stage_undo(audit, make_editor()))
    assert columns(card, "title", "pack_id") == ["t", "p"]
    assert audited_changes(run) == {
        str(card.pk): {"title": {"old": "wrong", "new": "t"}, "pack_id": {"old": "q", "new": "p"}}
    }


def test_one_field_of_a_change_is_undone_alone() -> None:
    card = make_card()
    audit = edit(card, title="wrong", pack_id="q")
    apply(stage_undo(audit, make_editor(), "title"))
    assert columns(card, "title", "pack_id") == ["t", "q"]


def test_the_undo_of_a_rarity_sets_both_columns_back() -> None:
    card = make_card(rarity="common")
    audit = edit(card, rarity="rare")
    assert set(audit.changes) == {"rarity", "rarity_v2"}
    run = apply(stage_undo(audit, make_editor(), "rarity"))
    assert columns(card, "rarity", "rarity_v2") == ["common", "common"]
    assert set(audited_changes(run)[str(card.pk)]) == {"rarity", "rarity_v2"}


def test_an_undo_keeps_every_digit() -> None:
    card = make_card()
    execute_sql("""UPDATE cards SET metadata = '{"x": 0.12345678901234567890123}'""")
    audit = edit(card, metadata={"x": 1})
    apply(stage_undo(audit, make_editor()))
    assert execute_sql("SELECT metadata::text FROM cards") == [('{"x": 0.12345678901234567890123}',)]


def test_what_somebody_changed_since_is_not_undone_unless_overwritten() -> None:
    card = make_card()
    audit = edit(card, title="wrong")
    Card.objects.update(title="theirs")
    undo = stage_undo(audit, make_editor())
    apply(undo)
    assert columns(card, "title") == ["theirs"]
    apply(undo, overwrite="on")
    assert columns(card, "title") == ["t"]


def test_an_undo_can_be_undone() -> None:
    card = make_card()
    run = apply(stage_undo(edit(card, title="right"), make_editor()))
    apply(stage_undo(AuditLog.objects.get(run=run), make_editor()))
    assert columns(card, "title") == ["right"]


def test_a_creation_or_a_deleted_row_is_not_undone() -> None:
    card = Card(card_id="c9", title="t", pack_id="p")
    with audit_changes(card, "admin_add", "bob"):
        card.save()
    with pytest.raises(UndoRefused, match="Only changes of fields"):
        stage_undo(AuditLog.objects.latest("pk"), make_editor())
    audit = edit(card, title="u")
    Card.objects.all().delete()
    with pytest.raises(UndoRefused, match="This card was deleted"):
        stage_undo(audit, make_editor())


def test_an_undo_needs_the_permission_to_change_the_row(django_user_model: Any) -> None:
    audit = edit(make_card(), title="u")
    with pytest.raises(PermissionDenied):
        stage_undo(audit, django_user_model.objects.create_user("eve"))
