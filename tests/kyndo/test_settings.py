"""What production asks for before it starts, and what an operator sees instead of a traceback."""

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.test import RequestFactory
from django.views.debug import get_exception_reporter_class

from kyndo.required import require
from tests.conftest import Manage

PRODUCTION: dict[str, str | None] = {
    "DEBUG": None,
    "SECRET_KEY": "".join(map(chr, range(48, 112))),
    "ADMIN_KEY": "key",
    "ALLOWED_HOSTS": "cards.example.com",
    "DATABASE_URL": "postgres://kyndo:hidden@127.0.0.1:9/kyndo",
    "REDIS_URL": "redis://:hidden@127.0.0.1:9/0",
}


def refused(**changed: str | None) -> str:
    """What the settings say, once read, of production with these variables changed; None unsets one."""
    environ = {name: value for name, value in {**PRODUCTION, **changed}.items() if value is not None}
    with pytest.raises(ImproperlyConfigured) as caught:
        require(environ)
    return str(caught.value)


@pytest.mark.parametrize("name", ["SECRET_KEY", "ADMIN_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "REDIS_URL"])
@pytest.mark.parametrize("value", [None, ""])
def test_production_refuses_to_start_without(name: str, value: str | None) -> None:
    first, *named, _ = refused(**{name: value}).splitlines()
    assert first == "Set these in the environment or in .env:"
    assert [line.split(":")[0].strip() for line in named] == [name]


def test_everything_that_is_missing_is_named_at_once_by_whatever_is_typed(manage: Manage) -> None:
    # What is empty also keeps a developer's .env from answering for the environment.
    done = manage("check", env=dict.fromkeys(PRODUCTION, ""))
    assert (done.returncode, done.stdout) == (1, "")
    named = [line.split(":")[0].strip() for line in done.stderr.splitlines()[1:-1]]
    assert named == ["SECRET_KEY", "ADMIN_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "REDIS_URL"]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DATABASE_URL", "mysql://u:hidden@h/d", "DATABASE_URL is not a URL like postgres://"),
        ("DATABASE_URL", "postgres://u:hidden@h:port/d", "DATABASE_URL is not a URL like postgres://"),
        ("REDIS_URL", "localhost:6379", "REDIS_URL is not a URL like redis://"),
        ("DEBUG", "perhaps", "DEBUG is 'perhaps', and should be on or off"),
        ("TRUST_PROXY", "maybe", "TRUST_PROXY is 'maybe', and should be on or off"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL is 'loud', and should be one of DEBUG, INFO, "),
        ("S3_BUCKET", "cards", "S3_BUCKET is set, but django-storages is not installed: pip install "),
        ("CONN_MAX_AGE", "soon", "CONN_MAX_AGE is 'soon', and should be a number of seconds"),
    ],
)
def test_a_setting_that_cannot_be_read_is_named_without_its_password(
    name: str, value: str, words: str
) -> None:
    said = refused(**{name: value})
    assert said.startswith(words)
    assert "hidden" not in said


def test_the_deployment_checks_have_nothing_to_say(manage: Manage) -> None:
    # A browser's tests, in the same process, set what the checks would find.
    env = {**PRODUCTION, "DEBUG": "off", "DJANGO_ALLOW_ASYNC_UNSAFE": None}
    done = manage("check", "--deploy", "--fail-level", "INFO", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "System check identified no issues (0 silenced).\n"


def test_the_migrations_are_those_of_the_models(manage: Manage) -> None:
    done = manage.process("makemigrations", "--check", "--dry-run")
    assert (done.returncode, done.stdout) == (0, "No changes detected\n")


def test_the_settings_load_where_no_server_was_ever_started(manage: Manage) -> None:
    done = manage("check", env={"DATABASE_URL": None, "REDIS_URL": None})
    assert done.returncode == 0


def test_an_empty_url_of_a_server_counts_as_not_set(manage: Manage) -> None:
    urls = "from django.conf import settings as s; print(s.DATABASES['default']['HOST'], s.REDIS_URL)"
    empty = {"DEBUG": "on", "DATABASE_URL": "", "REDIS_URL": ""}
    told = manage("shell", "--no-imports", "-c", urls, env=empty)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith("127.0.0.1 redis://")


@pytest.mark.django_db(transaction=True)
def test_a_transaction_sees_what_was_committed_meanwhile_whatever_the_server_prefers() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_isolation = 'serializable'")
        with transaction.atomic():
            cursor.execute("SHOW transaction_isolation")
            assert cursor.fetchone() == ("read committed",)
        cursor.execute("RESET default_transaction_isolation")


def test_djangos_page_of_an_error_shows_no_password(settings: Any) -> None:
    settings.DEBUG, settings.REDIS_URL = True, PRODUCTION["REDIS_URL"]
    settings.RQ_QUEUES = {"default": {"URL": PRODUCTION["REDIS_URL"]}}
    request = RequestFactory().get("/", DATABASE_URL=PRODUCTION["DATABASE_URL"])
    page = get_exception_reporter_class(request)(request, None, None, None).get_traceback_html()
    assert "REDIS_URL" in page
    assert "RQ_QUEUES" in page
    assert ":hidden@" not in page
    assert settings.STATIC_URL in page
