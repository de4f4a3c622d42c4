"""A session ends after an idle time. Using the admin renews it; a page that refreshes itself does not."""

from datetime import datetime, timedelta

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from tests.admin_pages import page_text
from tests.admin_urls import KEY, create_one_of_each

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    create_one_of_each()
    return client


def let_pass(staff: Client, idle: timedelta) -> datetime:
    """Set the session back by this time; return its end."""
    session = staff.session
    session["renewed_at"] = session.get("renewed_at", 0) - idle.total_seconds()
    session.save()
    end = timezone.now() + HOUR - idle
    Session.objects.update(expire_date=end)
    return end


def test_a_session_lasts_for_an_hour_by_default(staff: Client) -> None:
    assert settings.SESSION_COOKIE_AGE == 3600
    cookie = staff.get("/admin/").cookies[settings.SESSION_COOKIE_NAME]
    assert cookie["max-age"] == 3600


def test_a_page_renews_the_session_and_its_cookie(staff: Client) -> None:
    staff.get("/admin/")
    end = let_pass(staff, timedelta(minutes=59))
    page = staff.get("/admin/cards/card/")
    assert page.status_code == 200
    assert Session.objects.get().expire_date > end + timedelta(minutes=58)
    assert page.cookies[settings.SESSION_COOKIE_NAME]["max-age"] == 3600


def test_after_the_idle_time_a_page_asks_to_log_in(staff: Client) -> None:
    staff.get("/admin/")
    let_pass(staff, timedelta(minutes=60))
    assert staff.get("/admin/cards/card/").headers["Location"] == "/admin/login/?next=/admin/cards/card/"


def test_a_form_that_is_sent_too_late_leads_back_to_its_page(client: Client) -> None:
    rules = "/admin/cards/presentationrule/"
    for referer, page in [
        (f"http://testserver{rules}?q=a", f"{rules}%3Fq%3Da"),
        (f"http://elsewhere{rules}", f"{rules}order/"),
        ("", f"{rules}order/"),
    ]:
        answer = client.post(f"{rules}order/", headers={"Referer": referer})
        assert answer.headers["Location"] == f"/admin/login/?next={page}"
    assert "Nothing was saved or started: your session had ended." in page_text(client.get(answer.url))
    assert client.post("/admin/logout/").headers["Location"] == "/admin/"


def test_a_page_that_refreshes_itself_does_not_renew_the_session(staff: Client) -> None:
    staff.get("/admin/")
    end = let_pass(staff, timedelta(minutes=30))
    for model in ("run", "export"):
        assert staff.get(f"/admin/ops/{model}/{KEY}/live/").status_code == 200
    assert staff.get("/admin/dashboard/running/").status_code == 200
    assert Session.objects.get().expire_date == end
    staff.get(f"/admin/ops/run/{KEY}/change/")
    assert Session.objects.get().expire_date > end


def test_a_second_request_of_the_same_minute_writes_no_session(staff: Client) -> None:
    staff.get("/admin/")
    session = Session.objects.values().get()
    assert settings.SESSION_COOKIE_NAME not in staff.get("/admin/").cookies
    assert Session.objects.values().get() == session


def test_a_picture_does_not_read_the_session(staff: Client) -> None:
    assert "Vary" not in staff.get("/media/none.webp").headers


def test_somebody_who_only_opens_the_login_page_gets_no_session(client: Client) -> None:
    assert settings.SESSION_COOKIE_NAME not in client.get("/admin/login/").cookies
    assert not Session.objects.exists()
