"""The export as a bulk action, and the page on which it is watched, cancelled and fetched."""

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
from ops.admin import pagination
from ops.export import queue
from ops.export.request import ExportRequest
from ops.models import Export
from ops.operations.scope import Scope
from ops.queue.liveness import NO_WORKER_WARNING, connect_queue
from tests.ops.running import run_jobs
from tests.ops.test_admin_operations import posted, text

pytestmark = pytest.mark.django_db(transaction=True)

ASKED = {"format": "json", "audit_logs": "1000"}


@pytest.fixture
def staff(client: Client, redis_server: "Redis", settings: LazySettings, tmp_path: Path) -> Client:
    settings.EXPORT_ROOT = tmp_path / "root"
    client.force_login(User.objects.create_superuser("ada"))
    PresentationRule.objects.create(rarity="common", frame_color="#CCCCCC", sort_order=1)
    Card.objects.bulk_create(Card(card_id=f"card-{n}", title=f"T{n}", pack_id=f"p{n % 2}") for n in range(6))
    return client


def written() -> Export:
    export, _ = queue.request_export(ExportRequest(), "ada")
    run_jobs(connect_queue())
    export.refresh_from_db()
    return export


def page_of(export: Export, what: str = "change/") -> str:
    return f"/admin/ops/export/{export.pk}/{what}"


@pytest.mark.parametrize(
    ("ticked", "listed", "said", "numbers"),
    [
        ([1, 4], "", "2 cards, ticked in the list", {1, 4}),
        ([], "pack_id__exact=p1", "all cards that match pack_id = p1", {1, 3, 5}),
        ([], "q=card-&pack_id__exact=p0", "pack_id = p0 and search “card-”", {0, 2, 4}),
        ([], "q=nothing", "search “nothing”", set()),
        ([], "", "all cards", {0, 1, 2, 3, 4, 5}),
    ],
)
def test_the_chosen_cards_are_those_in_the_file_that_the_page_offers(
    staff: Client,
    monkeypatch: pytest.MonkeyPatch,
    ticked: list[int],
    listed: str,
    said: str,
    numbers: set[int],
) -> None:
    monkeypatch.setattr(pagination, "MAX_COUNTED_ROWS", 2)  # so that a search is left to the database
    keys = [str(Card.objects.get(card_id=f"card-{n}").pk) for n in ticked]
    asking = posted(staff, *keys, listed=listed, action="export")
    assert f"{said}." in text(staff.get(asking))
    assert not Export.objects.exists()
    page = staff.post(asking, ASKED, follow=True)
    assert NO_WORKER_WARNING in text(page)
    run_jobs(connect_queue())
    export = Export.objects.get()
    assert (export.state, export.performed_by, export.error) == ("succeeded", "ada", "")
    file = page_of(export, "files/cards.json")
    assert f'href="{file}"' in staff.get(page_of(export)).content.decode()
    rows = json.loads(b"".join(staff.get(file).streaming_content))  # type: ignore[attr-defined]
    assert {row["card_id"] for row in rows} == {f"card-{n}" for n in numbers}


def test_what_is_asked_beside_the_rows_is_what_is_left_to_the_workers(staff: Client) -> None:
    asking = posted(staff, action="export")
    assert "Ensure this value is greater than" in text(
        staff.post(asking, {"format": "json", "audit_logs": "-1"})
    )
    staff.post(asking, {"format": "jsonl", "compress": "on", "audit_logs": ""})
    asked = Export.objects.get().asked
    assert (asked["format"], asked["compress"], asked["audit_last"]) == ("jsonl", True, None)


def test_keys_that_no_card_can_have_are_refused_in_words(staff: Client) -> None:
    for key in ("x", "9" * 30):
        page = staff.post(f"/admin/cards/card/export/?key={key}", ASKED, follow=True)
        assert f"id={key}:" in text(page)
    assert staff.post("/admin/cards/card/export/", ASKED).status_code == 400
    assert not Export.objects.exists()


def test_one_that_waits_is_watched_and_cancelled_but_not_paused(staff: Client) -> None:
    export, _ = queue.request_export(ExportRequest(), "ada")
    page = staff.get(page_of(export)).content.decode()
    assert f'data-address="{page_of(export, "live/")}"' in page
    assert 'data-active="yes"' in page
    assert "pause" not in text(staff.get(page_of(export))).lower()
    Export.objects.update(state="running", rows=3, total=12)
    assert "3 of 12 rows" in text(staff.get(page_of(export, "live/?done=1&at=1")))
    Export.objects.update(state="queued")
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = staff.cookies
    assert strict.post(page_of(export, "cancel/")).status_code == 403
    assert staff.get(page_of(export, "cancel/")).status_code == 405
    assert staff.post(page_of(export, "cancel/")).headers["Location"] == page_of(export)
    page = staff.get(page_of(export, "live/")).content.decode()
    assert 'data-active="no"' in page
    assert "cancel/" not in page
    again = staff.post(page_of(export, "cancel/"), follow=True)
    assert f"Export {export.pk} is cancelled: it cannot be cancelled." in text(again)


def test_the_chosen_rows_are_counted_once_however_often_the_page_is_fetched(staff: Client) -> None:
    export, _ = queue.request_export(ExportRequest(scope=Scope.of_keys(["1", "2"])), "ada")
    assert "2 rows chosen by key" in text(staff.get(page_of(export)))
    with CaptureQueriesContext(connection) as asked:
        assert "2 rows chosen by key" in text(staff.get(page_of(export, "live/?done=0&at=1")))
    assert [query["sql"] for query in asked if '"asked"' in query["sql"]] == []


def test_a_file_is_sent_to_be_kept_and_nothing_else_of_the_disk_is(staff: Client, tmp_path: Path) -> None:
    export = written()
    answer = staff.get(page_of(export, "files/export_summary.json"))
    assert answer.headers["Content-Disposition"] == 'attachment; filename="export_summary.json"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert json.loads(b"".join(answer.streaming_content)) == export.summary  # type: ignore[attr-defined]
    folder, secret = Path(export.path), tmp_path / "secret"
    secret.write_text("secret")
    (folder / "notes.txt").write_text("no part of it")
    (folder / "cards.json").unlink()
    (folder / "cards.json").symlink_to(secret)
    for name in ("cards.json", "notes.txt", "..", "%00"):
        assert staff.get(page_of(export, f"files/{name}")).status_code == 404
    for name in ("../../secret", str(secret), "../secret"):  # no address has a slash in its last part
        with pytest.raises(queue.ExportUnavailable):
            queue.open_file(export, name)
    assert staff.post(page_of(export, "files/assets.json")).status_code == 405
    assert "cards.json" not in text(staff.get(page_of(export)))


def test_files_that_this_machine_does_not_have_are_told(staff: Client) -> None:
    export = written()
    Path(export.path).rename(f"{export.path}-gone")
    assert "which this machine does not have" in text(staff.get(page_of(export)))
    assert staff.get(page_of(export, "files/cards.json")).status_code == 404


def test_the_list_says_when_there_is_none_and_who_asked_for_those_there_are(staff: Client) -> None:
    assert "There are no exports yet." in text(staff.get("/admin/ops/export/"))
    export = written()
    listed = text(staff.get("/admin/ops/export/"))
    assert f"Export {export.pk} succeeded 7" in listed
    assert "ada" in listed
    assert "There are no exports yet." not in text(staff.get("/admin/ops/export/?state__exact=failed"))
