"""The pages of uploads: the form, the difference row by row, the start, and who may see them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from redis import Redis

from cards.models import Card
from ops.models import ChangeSet, Run, Upload
from ops.queue.liveness import connect_queue
from ops.uploads import diff
from ops.uploads import queue as uploads
from ops.uploads.staging import stage_head
from tests.admin_pages import page_text
from tests.cards.conftest import card
from tests.ops.running import run_jobs

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("rules")]

URL = "/admin/cards/card/upload/"


@pytest.fixture
def staff(client: Client, redis_server: Redis, settings: LazySettings, tmp_path: Path) -> Client:
    settings.UPLOAD_ROOT = tmp_path / "uploads"
    ada = User.objects.create_user("ada", is_staff=True)
    names = ["view_card", "add_card", "change_card", "view_run"]
    ada.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(ada)
    return client


def send(staff: Client, content: Any, name: str = "pack.json") -> Any:
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    return staff.post(URL, {"file": SimpleUploadedFile(name, content)}, follow=True)


def upload(staff: Client, content: Any, name: str = "pack.json") -> str:
    """Upload the file and return the path of its page."""
    response = send(staff, content, name)
    assert response.status_code == 200, page_text(response)
    return str(response.request["PATH_INFO"])


def listed(response: Any) -> list[tuple[str, str]]:
    return [(row.name, row.status) for row in response.context["table"].rows]


def all_pages(staff: Client, page: str, query: str = "") -> Iterable[list[tuple[str, str]]]:
    url = f"{page}?{query}"
    while url:
        response = staff.get(url)
        yield listed(response)
        url = response.context["next_url"] and f"{page}{response.context['next_url']}"


def test_a_pack_is_uploaded_compared_started_and_reverted(staff: Client) -> None:
    Card.objects.create(card_id="a", title="Aguila real", pack_id="aves")
    page = upload(
        staff, [card("a", title="Águila real"), card("b", metadata={"n": 1}), {"cardId": "a2", **card("a2")}]
    )
    shown = staff.get(page)
    text = page_text(shown)
    assert "2 new 1 changed 0 unchanged, not listed" in text
    assert listed(shown) == [("a", "Changed"), ("b", "New"), ("a2", "New")]
    assert "<del>Aguila</del><ins>Águila</ins>" in shown.content.decode()
    confirmation = staff.get(f"{page}apply/?part=page")
    assert "2 cards will be created." in page_text(confirmation)
    assert "deletes the cards that the run created" in page_text(confirmation)
    started = staff.post(f"{page}apply/", {"answered": "1"} | execution(confirmation))
    run = Run.objects.get()
    assert started.headers["Location"] == f"/admin/ops/run/{run.pk}/change/"
    run_jobs(connect_queue())
    run.refresh_from_db()
    assert (run.state, run.total, Card.objects.count()) == ("succeeded", 3, 3)
    assert f"Applied by run {run.pk}" in page_text(staff.get(page))
    number = Upload.objects.get().change_set_id
    assert staff.get(f"/admin/cards/card/changeset/{number}/").status_code == 404  # it has its own page
    text = page_text(staff.get(started.headers["Location"]))
    assert text.count("2 cards were created.") == 1
    assert "Fields Title, all of new cards" in text or "Fields title, all of new cards" in text


def execution(confirmation: Any) -> dict[str, Any]:
    form = confirmation.context["execution_form"]
    return {name: form[name].value() or "" for name in form.fields if form[name].value() is not None}


def test_the_rows_are_filtered_and_paged_without_a_gap(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    Card.objects.bulk_create(Card(card_id=f"c{n:03}", title=f"T{n}", pack_id="p") for n in range(120))
    titles, tags = ({"title": f"U{n}"} for n in range(120)), {"tags": ["t"]}
    changes = [
        card(f"c{n:03}", packId="p", **(given if n % 2 else {"title": f"T{n}", **tags}))
        for n, given in enumerate(titles)
    ]
    page = upload(staff, [*changes, *(card(f"new{n}") for n in range(3))])
    for scanned in (3, 20_000):
        monkeypatch.setattr(diff, "_SCANNED_ROWS", dict.fromkeys(diff._SCANNED_ROWS, scanned * 10))
        every = [row for rows in all_pages(staff, page) for row in rows]
        assert [name for name, _ in every] == [f"c{n:03}" for n in range(120)] + ["new0", "new1", "new2"]
        odd = [row for rows in all_pages(staff, page, "column=title") for row in rows]
        assert [name for name, _ in odd] == [f"c{n:03}" for n in range(120) if n % 2]
        new = [row for rows in all_pages(staff, page, "kind=new") for row in rows]
        assert new == [(f"new{n}", "New") for n in range(3)]
        by_id = [row for rows in all_pages(staff, page, "q=c077&kind=changed") for row in rows]
        assert by_id == [("c077", "Changed")]
        assert [row for rows in all_pages(staff, page, "q=U119") for row in rows] == [("c119", "Changed")]
        assert [row for rows in all_pages(staff, page, "kind=conflicts") for row in rows] == []


def test_what_others_changed_since_is_marked_listed_and_left(staff: Client) -> None:
    Card.objects.bulk_create(
        Card(card_id=name, title="T", pack_id="p") for name in ("edited", "gone", "same")
    )
    page = upload(
        staff, [card(name, title="U", packId="p") for name in ("edited", "gone", "same", "taken", "new")]
    )
    Card.objects.filter(card_id="edited").update(title="By hand")
    Card.objects.filter(card_id="gone").delete()
    Card.objects.create(card_id="taken", title="Theirs", pack_id="p")
    conflicts = staff.get(f"{page}?kind=conflicts")
    assert [status for _, status in listed(conflicts)] == ["Changed since", "Deleted since", "Taken since"]
    assert "Changed by others since, so it stays as it is: By hand" in page_text(conflicts)


def test_nothing_to_do_is_said_and_cannot_be_started(staff: Client) -> None:
    Card.objects.create(card_id="a", title="A", pack_id="aves")
    page = upload(staff, [card("a", title="A")])
    assert "There is nothing to do" in page_text(staff.get(page))
    assert staff.get(f"{page}apply/").headers["Location"] == page


def test_a_refused_file_says_why_and_escapes_it(staff: Client) -> None:
    page = staff.get(upload(staff, [card("<b>a b</b>")], "<i>.json"))
    assert "1 bad row. Nothing was loaded." in page_text(page)
    assert "<b>a" not in page.content.decode()
    assert "<i>.json" not in page.content.decode()


def test_without_a_file_or_with_one_too_large_nothing_is_kept(staff: Client, settings: LazySettings) -> None:
    empty = staff.post(URL)
    assert (empty.status_code, "Choose a file first." in page_text(empty)) == (422, True)
    settings.UPLOAD_MAX_BYTES = 1000
    large = send(staff, b" " * 1_100_000)
    assert (large.status_code, "The file is larger than" in page_text(large)) == (413, True)
    assert not Upload.objects.exists()


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_ROWS_AT_ONCE", 1_000)


@pytest.mark.usefixtures("few_at_once")
def test_a_large_file_is_read_by_a_worker_and_shows_its_progress(staff: Client) -> None:
    page = upload(staff, [card(f"c{n}") for n in range(1_001)])
    assert "Waiting for a worker." in page_text(staff.get(page))
    assert "Waiting for a worker." in page_text(staff.get(f"{page}live/"))
    run_jobs(connect_queue())
    assert staff.get(f"{page}live/").headers["Location"] == page
    shown = staff.get(page)
    assert ("1,001 new" in page_text(shown), len(listed(shown))) == (True, 50)


@pytest.mark.usefixtures("few_at_once")
def test_a_waiting_file_can_be_discarded(staff: Client, tmp_path: Path) -> None:
    page = upload(staff, [card(f"c{n}") for n in range(1_001)])
    assert [*(tmp_path / "uploads").iterdir()]
    staff.post(f"{page}discard/")
    assert "The file was discarded." in page_text(staff.get(page))
    run_jobs(connect_queue())
    assert (Upload.objects.get().state, [*(tmp_path / "uploads").iterdir()]) == ("discarded", [])


def test_an_upload_is_its_makers_own(staff: Client, client: Client) -> None:
    page = upload(staff, [card("a")])
    eve = User.objects.create_user("eve", is_staff=True)
    eve.user_permissions.set(Permission.objects.filter(codename__in=["view_card", "add_card", "change_card"]))
    client.force_login(eve)
    assert {client.get(f"{page}{part}").status_code for part in ("", "live/", "apply/")} == {403}
    assert client.post(f"{page}apply/", {"answered": "1"}).status_code == 403
    assert "upload/" in client.get("/admin/cards/card/").content.decode()
    eve.user_permissions.remove(Permission.objects.get(codename="add_card"))
    assert client.get(URL).status_code == 403
    assert 'href="/admin/cards/card/upload/"' not in client.get("/admin/cards/card/").content.decode()


def test_a_form_without_a_token_is_refused(staff: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="ada"))
    assert strict.post(URL, {"file": SimpleUploadedFile("p.json", b"[]")}).status_code == 403


@pytest.mark.parametrize(
    "query", ["after=x", "after=-1", "after=99999999999999999999", "kind=x", "column=x", "q=%00"]
)
def test_odd_addresses_of_the_page_show_rows(staff: Client, query: str) -> None:
    page = upload(staff, [card("a")])
    assert staff.get(f"{page}?{query}").status_code == 200
    assert staff.get(f"{URL}{10**30}/").status_code == 404


@pytest.mark.usefixtures("few_at_once")
def test_the_first_rows_are_shown_while_the_others_are_read(staff: Client) -> None:
    Card.objects.create(card_id="c0", title="Old", pack_id="aves")
    page = upload(staff, [card(f"c{n}") for n in range(1_001)])
    waiting = Upload.objects.get()
    stage_head(waiting)
    for path in (page, f"{page}live/"):
        shown = staff.get(path)
        assert "The first rows" in page_text(shown)
        assert listed(shown)[:2] == [("c0", "Changed"), ("c1", "New")]
    assert staff.get(f"{page}apply/").headers["Location"] == page
    run_jobs(connect_queue())
    waiting.refresh_from_db()
    assert (waiting.state, waiting.created, waiting.changed) == ("staged", 1_000, 1)
    assert ChangeSet.objects.get() == waiting.change_set


@pytest.mark.usefixtures("few_at_once")
def test_a_bad_row_far_down_refuses_the_file_with_its_first_rows(staff: Client) -> None:
    page = upload(staff, [*(card(f"c{n}") for n in range(1_001)), card("c0")])
    run_jobs(connect_queue())
    assert "is already in row [0]" in page_text(staff.get(page))
    assert (Upload.objects.get().state, ChangeSet.objects.exists()) == ("refused", False)


@pytest.mark.usefixtures("few_at_once")
def test_a_lost_upload_is_enqueued_again_and_given_up_in_the_end(staff: Client) -> None:
    upload(staff, [card(f"c{n}") for n in range(1_001)])
    queue = connect_queue()
    queue.empty()
    uploads.requeue_lost()
    uploads.requeue_lost()
    assert len(queue) == 1
    queue.empty()
    Upload.objects.update(heartbeat_at=timezone.now())
    uploads.requeue_lost()
    assert len(queue) == 0
    Upload.objects.update(heartbeat_at=None, attempts=3)
    uploads.requeue_lost()
    run_jobs(queue)
    assert (Upload.objects.get().state, "lost 3 times" in Upload.objects.get().error) == ("refused", True)
