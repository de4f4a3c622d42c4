"""What a run changed, and what a revert left alone: to browse, to search, and to download as CSV."""

import csv
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from cards.models import Card, PresentationRule
from ops.admin.runs import run_changes
from ops.csv_cells import BYTE_ORDER_MARK, neutralise, restore
from ops.models import AuditLog, Run
from ops.operations import registry
from ops.operations.revert import Revert
from ops.runs import conflicts
from ops.runs.conflicts import ConflictList
from ops.sql import audit_search
from tests.admin_pages import page_text
from tests.ops.running import execute_operation

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


def promote(*titles: str) -> Run:
    for number, rarity in enumerate(("common", "rare")):
        PresentationRule.objects.create(rarity=rarity, frame_color="#112233", sort_order=number)
    cards = [
        Card(card_id=f"c{n}", title=title, pack_id="p", rarity="common", rarity_v2="common")
        for n, title in enumerate(titles)
    ]
    Card.objects.bulk_create(cards)
    operation = registry.get_operation("bulk_promote")
    return execute_operation(operation, params={"from_rarity": "common", "to_rarity": "rare"})


def read_csv(staff: Client, run: Run) -> list[list[str]]:
    page: Any = staff.get(f"/admin/ops/run/{run.pk}/download/")
    text = b"".join(page.streaming_content).decode()
    assert text.startswith(BYTE_ORDER_MARK)
    return list(csv.reader(StringIO(text.removeprefix(BYTE_ORDER_MARK))))


def test_the_changes_of_a_run_are_listed_and_found_by_name(staff: Client) -> None:
    run = promote("Cóndor", "Águila")
    url = f"/admin/ops/run/{run.pk}/changes/"
    text = page_text(staff.get(url))
    assert "Bulk promote, run" in text
    assert text.count("common → rare") == 4  # rarity and rarity_v2 of both
    text = page_text(staff.get(url, {"q": "condor"}))
    assert text.count("common → rare") == 2
    assert "Cóndor" in text
    assert "Águila" not in text
    assert "The run changed no card like “tucán”." in page_text(staff.get(url, {"q": "tucán"}))


def test_the_changes_have_pages_up_to_the_last_row(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    run = promote(*"abcde")
    read_page = audit_search.read_page
    monkeypatch.setattr(run_changes, "read_page", lambda search, cursor: read_page(search, cursor, 2))
    url, sizes = f"/admin/ops/run/{run.pk}/changes/", []
    while url:
        context = staff.get(url).context
        sizes.append(len(context["rows"]))
        url = context["next_url"] and f"/admin/ops/run/{run.pk}/changes/{context['next_url']}"
    assert sizes == [2, 2, 1]


def test_the_csv_has_every_change_and_no_formula(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_changes, "_CHUNK_SIZE", 2)
    run = promote("Cóndor", "b", "c")
    Card.objects.filter(title="Cóndor").update(card_id="=1+1")
    header, *rows = read_csv(staff, run)
    assert header == ["key", "card", "rarity before", "rarity after", "rarity_v2 before", "rarity_v2 after"]
    assert len(rows) == 3
    assert all(row[2:] == ["common", "rare", "common", "rare"] for row in rows)
    assert {row[1] for row in rows} == {"'=1+1", "c1", "c2"}


@pytest.mark.parametrize(
    ("cell", "written"),
    [(f"{start}1", f"'{start}1") for start in "=+-@\t\r"]
    + [("1-2", "1-2"), ("", ""), ("'=", "''="), ("'a", "'a")],
)
def test_a_cell_that_a_spreadsheet_would_run_is_neutralised(cell: str, written: str) -> None:
    assert neutralise(cell) == written
    assert restore(written) == cell


def test_changes_are_shown_only_to_who_may_see_the_cards_and_the_log(client: Client) -> None:
    run = promote("a")
    bob = User.objects.create_user("bob", is_staff=True)
    client.force_login(bob)

    def read(*permissions: str) -> list[int]:
        bob.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        urls = (f"/admin/ops/run/{run.pk}/{page}/" for page in ("changes", "download"))
        return [client.get(url).status_code for url in urls]

    assert read("view_run", "view_auditlog") == [403, 403]
    assert read("view_run", "view_card", "export_data") == [403, 403]
    assert read("view_run", "view_auditlog", "view_card") == [200, 403]
    assert read("view_run", "view_auditlog", "view_card", "export_data") == [200, 200]


def test_the_conflicts_of_a_revert_show_what_stands(staff: Client) -> None:
    run = promote("Cóndor", "Águila", "Tucán")
    Card.objects.filter(title="Cóndor").update(rarity="epic")
    Card.objects.filter(title="Tucán").delete()
    revert = execute_operation(Revert, params={"run": run.pk})
    assert AuditLog.objects.filter(run=revert).count() == 1
    url = f"/admin/ops/run/{revert.pk}/conflicts/"
    assert f'href="{url}"' in staff.get(f"/admin/ops/run/{revert.pk}/live/").content.decode()
    text = page_text(staff.get(url))
    assert "Cóndor common → rare → epic" in text
    assert "(was deleted) common → rare" in text
    assert "Águila" not in text
    assert staff.get(f"/admin/ops/run/{run.pk}/conflicts/").status_code == 404


def test_a_complete_revert_has_no_conflicts_and_none_are_looked_for(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    revert = execute_operation(Revert, params={"run": promote("a", "b").pk})
    monkeypatch.setattr(ConflictList, "page", None)
    assert "conflicts/" not in staff.get(f"/admin/ops/run/{revert.pk}/live/").content.decode()
    text = page_text(staff.get(f"/admin/ops/run/{revert.pk}/conflicts/"))
    assert "There are none: everything that" in text


def test_the_conflicts_are_listed_before_the_revert_is_started(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = promote("Cóndor", "Águila", "Tucán", "Garza")
    Card.objects.filter(title="Cóndor").update(rarity="epic")
    Card.objects.filter(title="Tucán").delete()
    url = f"/admin/ops/run/{run.pk}/expected_conflicts/"
    assert f'href="{url}"' in staff.get(f"/admin/ops/run/{run.pk}/revert/").content.decode()
    text = page_text(staff.get(url))
    assert "Cóndor common → rare → epic" in text
    assert "(was deleted) common → rare" in text
    assert "Águila" not in text

    monkeypatch.setattr(conflicts, "_CHUNK_SIZE", 1)
    monkeypatch.setattr(conflicts, "_MAX_CHUNKS", 1)
    found, sizes = url, []
    while found:
        context = staff.get(found).context
        sizes.append(len(context["rows"]))
        found = context["next_url"] and url + context["next_url"]
    assert sizes[:4] == [1, 0, 1, 0]
    assert sum(sizes) == 2


def test_what_an_earlier_revert_has_set_back_is_no_conflict(staff: Client) -> None:
    run = promote("Cóndor", "Águila")
    execute_operation(Revert, params={"run": run.pk})
    text = page_text(staff.get(f"/admin/ops/run/{run.pk}/expected_conflicts/"))
    assert "There are none: nobody has changed these cards otherwise since" in text
