"""Errors: within the admin for those who are signed in, bare for others, and never a second error."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import DatabaseError
from django.test import Client, RequestFactory

from kyndo import error_pages
from tests.admin_pages import page_text

pytestmark = pytest.mark.django_db

FRAME = 'id="nav-sidebar"'


@pytest.fixture
def staff() -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.create_superuser("ada"))
    return client


def test_errors_of_pages_stand_within_the_admin(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("a fault")

    monkeypatch.setattr("ops.admin.dashboard.queue._read_queue", fail)
    for url, status, text in (
        ("/admin/cards/card/?nowhere=1", 400, "A list accepts only the filters that it shows."),
        ("/admin/ops/run/add/", 403, "An administrator of this site can give you the permission."),
        ("/admin/nowhere/", 404, "There is no such page."),
        ("/admin/ops/run/7/change/", 404, "There is no run 7."),
        ("/admin/queue/", 500, "The log of the site has the details."),
    ):
        page = staff.get(url)
        assert (page.status_code, FRAME in page.content.decode()) == (status, True), url
        assert text in page_text(page)
        assert "Welcome" not in page_text(page)  # as unfold heads a page without a title


def test_who_is_not_signed_in_sees_bare_errors(client: Client) -> None:
    page = client.get("/nowhere/")
    assert page.status_code == 404
    assert FRAME not in page.content.decode()
    assert "There is no such page. To the start page" in page_text(page)


def test_an_old_form_says_what_to_do() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("ada"))
    page = client.post("/admin/cards/card/", {"action": "export"})
    assert page.status_code == 403
    assert "load the page again, and send the form once more" in page_text(page)


def test_an_error_of_the_frame_leaves_the_bare_page(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise DatabaseError("away")

    monkeypatch.setattr(admin.site, "each_context", fail)
    request = RequestFactory().get("/admin/")
    request.user = User(is_superuser=True, is_staff=True)
    page = error_pages.permission_denied(request, PermissionError())
    assert page.status_code == 403
    assert "Not permitted" in page_text(page)
