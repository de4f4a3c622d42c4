"""The export as a bulk action, and the page of an export: progress, cancel button, files."""

import json
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from redis import Redis

from cards.models import Card, PresentationRule
from ops.admin.lists import pagination
from ops.export import queue
from ops.export.request import ExportRequest
from ops.models import Export
from ops.operations.scope import Scope
from ops.queue.liveness import NO_WORKER_WARNING, connect_queue
from tests.admin_pages import page_text, post_action
from tests.ops.running import run_jobs

pytestmark = pytest.mark.django_db(transaction=True)

OPTIONS = {"format": "json", "audit_logs": "1000"}


@pytest.fixture
def staff(client: Client, redis_server: "Redis", settings: LazySettings, tmp_path: Path) -> Client:
    settings.EXPORT_ROOT = tmp_path / "root"
    client.force_login(User.objects.create_superuser("ada"))
    PresentationRule.objects.create(rarity="common", frame_color="#CCCCCC", sort_order=1)
    Card.objects.bulk_create(Card(card_id=f"card-{n}", title=f"T{n}", pack_id=f"p{n % 2}") for n in range(6))
    return client


def create_finished_export() -> Export:
    export, _ = queue.request_export(ExportRequest(), "ada")
    run_jobs(connect_queue())
    export.refresh_from_db()
    return export


def export_url(export: Export, view: str = "change/") -> str:
    return f"/admin/ops/export/{export.pk}/{view}"


@pytest.mark.parametrize(
    ("ticked", "query", "description", "numbers"),
    [
        ([1, 4], "", "2 cards, ticked in the list", {1, 4}),
        ([], "pack_id__exact=p1", "all cards that match pack_id = p1", {1, 3, 5}),
        ([], "q=card-&pack_id__exact=p0", "pack_id = p0 and search “card-”", {0, 2, 4}),
        ([], "q=nothing", "search “nothing”", set()),
        ([], "", "all cards", {0, 1, 2, 3, 4, 5}),
    ],
)
def test_the_exported_file_has_exactly_the_selected_cards(
    staff: Client,
    monkeypatch: pytest.MonkeyPatch,
    ticked: list[int],
    query: str,
    description: str,
    numbers: set[int],
) -> None:
    monkeypatch.setattr(pagination, "MAX_COUNTED_ROWS", 2)  # so that a search is left to the database
    keys = [str(Card.objects.get(card_id=f"card-{n}").pk) for n in ticked]
    url = post_action(staff, *keys, query=query, action="export")
    assert f"{description}." in page_text(staff.get(url))
    assert not Export.objects.exists()
    page = staff.post(url, OPTIONS, follow=True)
    assert NO_WORKER_WARNING in page_text(page)
    run_jobs(connect_queue())
    export = Export.objects.get()
    assert (export.state, export.performed_by, export.error) == ("succeeded", "ada", "")
    file = export_url(export, "files/cards.json")
    assert f'href="{file}"' in staff.get(export_url(export)).content.decode()
    rows = json.loads(b"".join(staff.get(file).streaming_content))  # type: ignore[attr-defined]
    assert {row["card_id"] for row in rows} == {f"card-{n}" for n in numbers}


def test_the_options_of_the_form_are_stored_with_the_export(staff: Client) -> None:
    url = post_action(staff, action="export")
    assert "Ensure this value is greater than" in page_text(
        staff.post(url, {"format": "json", "audit_logs": "-1"})
    )
    staff.post(url, {"format": "jsonl", "compress": "on", "audit_logs": ""})
    options = Export.objects.get().asked
    assert (options["format"], options["compress"], options["audit_last"]) == ("jsonl", True, None)


def test_invalid_keys_are_refused_with_a_message(staff: Client) -> None:
    for key in ("x", "9" * 30):
        page = staff.post(f"/admin/cards/card/export/?key={key}", OPTIONS, follow=True)
        assert f"id={key}:" in page_text(page)
    assert staff.post("/admin/cards/card/export/", OPTIONS).status_code == 400
    assert not Export.objects.exists()


def test_a_queued_export_refreshes_and_can_be_cancelled_not_paused(staff: Client) -> None:
    export, _ = queue.request_export(ExportRequest(), "ada")
    page = staff.get(export_url(export)).content.decode()
    assert f'data-url="{export_url(export, "live/")}"' in page
    assert 'data-active="yes"' in page
    assert "pause" not in page_text(staff.get(export_url(export))).lower()
    Export.objects.update(state="running", rows=3, total=12)
    assert "3 of 12 rows" in page_text(staff.get(export_url(export, "live/?done=1&at=1")))
    Export.objects.update(state="queued")
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = staff.cookies
    assert strict.post(export_url(export, "cancel/")).status_code == 403
    assert staff.get(export_url(export, "cancel/")).status_code == 405
    assert staff.post(export_url(export, "cancel/")).headers["Location"] == export_url(export)
    page = staff.get(export_url(export, "live/")).content.decode()
    assert 'data-active="no"' in page
    assert "cancel/" not in page
    again = staff.post(export_url(export, "cancel/"), follow=True)
    assert f"Export {export.pk} is already cancelled." in page_text(again)


def test_refreshing_the_page_does_not_count_the_selected_rows_again(staff: Client) -> None:
    export, _ = queue.request_export(ExportRequest(scope=Scope.of_keys(["1", "2"])), "ada")
    assert "2 rows selected by key" in page_text(staff.get(export_url(export)))
    with CaptureQueriesContext(connection) as queries:
        assert "2 rows selected by key" in page_text(staff.get(export_url(export, "live/?done=0&at=1")))
    assert [query["sql"] for query in queries if '"asked"' in query["sql"]] == []


def test_only_files_of_the_export_are_served_and_as_downloads(staff: Client, tmp_path: Path) -> None:
    export = create_finished_export()
    response = staff.get(export_url(export, "files/export_summary.json"))
    assert response.headers["Content-Disposition"] == 'attachment; filename="export_summary.json"'
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert json.loads(b"".join(response.streaming_content)) == export.summary  # type: ignore[attr-defined]
    folder, secret = Path(export.path), tmp_path / "secret"
    secret.write_text("secret")
    (folder / "notes.txt").write_text("no part of it")
    (folder / "cards.json").unlink()
    (folder / "cards.json").symlink_to(secret)
    for name in ("cards.json", "notes.txt", "..", "%00"):
        assert staff.get(export_url(export, f"files/{name}")).status_code == 404
    for name in ("../../secret", str(secret), "../secret"):  # no address has a slash in its last part
        with pytest.raises(queue.ExportUnavailable):
            queue.open_file(export, name)
    assert staff.post(export_url(export, "files/assets.json")).status_code == 405
    assert "cards.json" not in page_text(staff.get(export_url(export)))


def test_missing_files_are_reported(staff: Client) -> None:
    export = create_finished_export()
    Path(export.path).rename(f"{export.path}-gone")
    assert "which this machine does not have" in page_text(staff.get(export_url(export)))
    assert staff.get(export_url(export, "files/cards.json")).status_code == 404


def test_the_list_shows_the_exports_or_that_there_are_none(staff: Client) -> None:
    assert "There are no exports yet." in page_text(staff.get("/admin/ops/export/"))
    export = create_finished_export()
    text = page_text(staff.get("/admin/ops/export/"))
    assert f"Export {export.pk} succeeded 7" in text
    assert "ada" in text
    assert "There are no exports yet." not in page_text(staff.get("/admin/ops/export/?state__exact=failed"))
