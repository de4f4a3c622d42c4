"""What a change set or its revert left: in notes, at the command line and in the admin."""

import json

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from cards.models import Card
from ops.models import Run
from ops.operations import ApplyChangeSet
from ops.report.run import get_operation_notes
from ops.runs.creation import RunRequest
from ops.runs.preview import build_preview
from tests.admin_pages import page_text
from tests.conftest import Manage
from tests.ops.change_setting import apply, make_card, make_editor, revert, stage

pytestmark = pytest.mark.django_db(transaction=True)

BY_OTHERS = "changed by others since, or"


@pytest.fixture
def half_applied() -> Run:
    """A run that wrote one cell and left two: one changed by somebody, one of a deleted card."""
    cards = [make_card(number) for number in (1, 2)]
    change_set = stage(
        Card,
        (cards[0], "title", "t", "u"),
        (cards[0], "pack_id", "p", "q"),
        (cards[1], "title", "t", "u"),
    )
    Card.objects.filter(card_id="c1").update(title="theirs")
    Card.objects.filter(card_id="c2").delete()
    preview = build_preview(RunRequest(ApplyChangeSet, "ana", {"change_set": change_set.pk}))
    assert preview.notes[0] == f"2 cells will not be written: they were {BY_OTHERS} their cards were deleted."
    return apply(change_set)


def test_a_note_counts_the_cells_that_a_run_left(half_applied: Run) -> None:
    note = f"2 cells were not written: they were {BY_OTHERS} their cards were deleted."
    assert get_operation_notes(half_applied) == [note]
    Card.objects.update(pack_id="theirs")
    reverted = revert(half_applied)
    run = half_applied.pk
    note = f"1 cell was not reverted: it was changed after run {run}, or its card was deleted."
    assert get_operation_notes(reverted) == [note]


def test_the_command_line_lists_cells_seen_wanted_and_now(half_applied: Run, manage: Manage) -> None:
    listed = manage("runs", "conflicts", half_applied.pk).stdout
    assert "as it was seen -> as it was to be (value now)" in listed
    assert "title: t -> u (now theirs)" in listed
    assert "pack_id" not in listed
    [first, second, end] = map(
        json.loads, manage("runs", "conflicts", half_applied.pk, "--json").stdout.splitlines()
    )
    columns = {row["row"]: (row["gone"], row["columns"]) for row in (first, second)}
    assert columns["c1"] == (False, {"title": {"seen": "t", "wanted": "u", "stands": "theirs"}})
    assert end["more"] == 0


def test_the_admin_lists_the_cells_that_a_run_left(half_applied: Run, admin_client: Client) -> None:
    url = f"/admin/ops/run/{half_applied.pk}/conflicts/"
    assert f'href="{url}"' in admin_client.get(f"/admin/ops/run/{half_applied.pk}/live/").content.decode()
    text = page_text(admin_client.get(url))
    assert "Title: as seen, as wanted, now" in text
    assert "t → u → theirs" in text
    assert "(was deleted) t → u" in text
    assert "Pack id" not in text


def test_cells_that_a_revert_would_leave_are_listed_before_it(admin_client: Client) -> None:
    card = make_card()
    run = apply(stage(Card, (card, "title", "t", "u"), (card, "pack_id", "p", "q")))
    Card.objects.update(title="theirs")
    text = page_text(admin_client.get(f"/admin/ops/run/{run.pk}/expected_conflicts/"))
    assert "t → u → theirs" in text
    assert "Pack id" not in text


def test_a_run_that_wrote_all_cells_has_no_conflicts(admin_client: Client, manage: Manage) -> None:
    run = apply(stage(Card, (make_card(), "rarity", "common", "rare")))
    assert get_operation_notes(run) == []
    assert "conflicts/" not in admin_client.get(f"/admin/ops/run/{run.pk}/live/").content.decode()
    assert manage("runs", "conflicts", run.pk).stdout.strip() == f"Run {run.pk} has no conflicts."


@pytest.mark.parametrize("whose", ["own", "other"])
def test_who_started_a_change_set_may_take_it_back(client: Client, whose: str) -> None:
    editor = make_editor()
    change_set = stage(Card, (make_card(), "title", "t", "u"), by=editor)
    run = apply(change_set)
    Run.objects.update(performed_by="ana" if whose == "own" else "bob")
    User.objects.update(is_staff=True)
    names = ["view_run", "view_card"]
    editor.user_permissions.add(*Permission.objects.filter(codename__in=names))
    client.force_login(editor)
    url = f"/admin/ops/run/{run.pk}/revert/"
    assert client.get(url).status_code == (200 if whose == "own" else 403)
    assert client.post(f"/admin/ops/run/{run.pk}/retry/").status_code == 403
    editor.user_permissions.remove(Permission.objects.get(codename="change_card"))
    assert client.get(url).status_code == 403
