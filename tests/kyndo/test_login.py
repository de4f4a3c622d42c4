"""Logging in: wrong passwords soon have to wait, in all processes, for one name from one address."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from kyndo.client_address import get_client_address
from kyndo.login_throttle import count_attempt
from kyndo.models import LoginAttempts
from tests.admin_pages import page_text

pytestmark = pytest.mark.django_db

REFUSAL = "There were too many wrong passwords. Try again in 15 minutes."
HERE, ELSEWHERE = "192.0.2.1", "198.51.100.7"


@pytest.fixture(autouse=True)
def ada(settings: LazySettings) -> User:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return User.objects.create_superuser("ada", password="lovelace")


def log_in(client: Client, password: str, name: str = "ada", address: str = HERE) -> Any:
    data = {"username": name, "password": password}
    return client.post("/admin/login/?next=/admin/", data, REMOTE_ADDR=address)


def fail(client: Client, times: int, **where: str) -> None:
    for _ in range(times):
        log_in(client, "wrong", **where)


def test_after_ten_wrong_passwords_the_right_one_has_to_wait(client: Client) -> None:
    fail(client, 9)
    assert REFUSAL not in page_text(log_in(client, "wrong"))
    page = log_in(client, "lovelace")
    assert page.status_code == 200
    assert REFUSAL in page_text(page)
    assert log_in(Client(), "lovelace").status_code == 200  # another browser at the same address


def test_other_names_and_other_addresses_do_not_wait(client: Client) -> None:
    User.objects.create_superuser("eva", password="lovelace")
    fail(client, 10)
    assert log_in(Client(), "lovelace", address=ELSEWHERE).status_code == 302
    assert log_in(Client(), "lovelace", name="eva").status_code == 302


def change_password(client: Client, old: str, new: str = "analytical engine") -> Any:
    data = {"old_password": old, "new_password1": new, "new_password2": new}
    return client.post("/admin/password_change/", data, REMOTE_ADDR=HERE, follow=True)


def test_the_old_password_of_a_new_one_waits_as_at_the_log_in(client: Client, ada: User) -> None:
    client.force_login(ada)
    for _ in range(10):
        assert "old password was entered incorrectly" in page_text(change_password(client, "wrong"))
    assert REFUSAL in page_text(change_password(client, "lovelace"))
    assert REFUSAL in page_text(log_in(Client(), "lovelace"))
    ada.refresh_from_db()
    assert ada.check_password("lovelace")


def test_the_right_old_password_counts_as_no_attempt(client: Client, ada: User) -> None:
    client.force_login(ada)
    for _ in range(12):  # a new password that is refused
        assert REFUSAL not in page_text(change_password(client, "lovelace", "1"))
    change_password(client, "lovelace")
    ada.refresh_from_db()
    assert ada.check_password("analytical engine")
    assert list(LoginAttempts.objects.values_list("count", flat=True)) == [0]


def test_after_the_wait_the_right_password_gets_in(client: Client, settings: LazySettings) -> None:
    fail(client, 10)
    LoginAttempts.objects.update(expires_at=timezone.now() + timedelta(seconds=61))
    assert "Try again in 2 minutes." in page_text(log_in(client, "lovelace"))
    LoginAttempts.objects.update(expires_at=timezone.now())
    assert log_in(client, "lovelace").status_code == 302
    assert list(LoginAttempts.objects.values_list("count", flat=True)) == [0]


def test_the_right_password_forgets_the_wrong_ones_before_it(client: Client) -> None:
    for _ in range(3):
        fail(client, 9)
        assert log_in(client, "lovelace").status_code == 302


def test_one_address_may_not_try_many_names(client: Client, settings: LazySettings) -> None:
    settings.LOGIN_ATTEMPTS_PER_ADDRESS = 5
    for n in range(5):
        fail(client, 1, name=f"user{n}")
    assert REFUSAL in page_text(log_in(client, "lovelace"))
    assert log_in(client, "lovelace", address=ELSEWHERE).status_code == 302


def test_a_thousand_more_tries_write_nothing_and_do_not_lengthen_the_wait() -> None:
    for _ in range(10):
        assert not count_attempt("ada", HERE)
    before = list(LoginAttempts.objects.order_by("key").values())
    with CaptureQueriesContext(connection) as queries:
        assert all(count_attempt("ada", HERE) for _ in range(1000))
    assert list(LoginAttempts.objects.order_by("key").values()) == before
    assert {query["sql"].split()[0] for query in queries} == {"SELECT"}
    assert len(queries) == 1000


@pytest.mark.django_db(transaction=True)
def test_attempts_at_the_same_time_do_not_exceed_the_limit_together() -> None:
    def attempt(_: int) -> bool:
        try:
            return not count_attempt("ada", HERE)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(40))) == 10


@pytest.mark.parametrize("name", ["a" * 300, "a" * 10**6, "a\0b", "\0", "", "ﬁ"])
def test_any_name_is_answered_in_words(client: Client, name: str) -> None:
    pages = [log_in(client, "wrong", name=name) for _ in range(12)]
    assert {page.status_code for page in pages} == {200}
    assert "Please" in page_text(pages[0])


def test_names_are_not_stored(client: Client) -> None:
    fail(client, 1, name="my-password")
    assert "my-password" not in str(list(LoginAttempts.objects.values()))


def test_attempts_that_no_longer_count_are_deleted(client: Client) -> None:
    fail(client, 1, name="eva", address=ELSEWHERE)
    LoginAttempts.objects.update(expires_at=timezone.now())
    fail(client, 1)
    assert LoginAttempts.objects.count() == 2


@pytest.mark.parametrize(
    ("trust", "forwarded", "address"),
    [
        (False, "203.0.113.9", HERE),
        (True, "203.0.113.9", "203.0.113.9"),
        (True, "10.0.0.1, 203.0.113.9", "203.0.113.9"),  # the client itself may have sent the first
        (True, "", HERE),
        (True, "unknown\0", HERE),
        (True, "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        (True, "::ffff:203.0.113.9", "203.0.113.9"),
    ],
)
def test_the_address_behind_a_proxy_counts_only_if_it_is_trusted(
    settings: LazySettings, trust: bool, forwarded: str, address: str
) -> None:
    settings.TRUST_PROXY = trust
    request = RequestFactory().get("/", REMOTE_ADDR=HERE, HTTP_X_FORWARDED_FOR=forwarded)
    assert get_client_address(request) == address


def test_a_client_on_a_unix_socket_has_an_empty_address() -> None:
    assert get_client_address(RequestFactory().get("/", REMOTE_ADDR="")) == ""
