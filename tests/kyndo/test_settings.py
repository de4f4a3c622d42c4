"""Validation of the settings at startup, and its messages."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.test import RequestFactory
from django.views.debug import get_exception_reporter_class
from environ import Env

from kyndo.env_validation import (
    BOOLEAN_VARIABLES,
    FOLDER_VARIABLES,
    LIST_VARIABLES,
    NUMERIC_VARIABLES,
    validate_environment,
)
from kyndo.environment import Environment, read_env_file
from tests.conftest import ROOT, Manage

PRODUCTION: dict[str, str | None] = {
    "DEBUG": None,
    "SECRET_KEY": "".join(map(chr, range(48, 112))),
    "ADMIN_KEY": "key",
    "ALLOWED_HOSTS": "cards.example.com",
    "DATABASE_URL": "postgres://kyndo:hidden@127.0.0.1:9/kyndo",
    "REDIS_URL": "redis://:hidden@127.0.0.1:9/0",
}


def refused(**changed: str | None) -> str:
    """Return the message of the validation, with these production variables changed; None unsets one."""
    environ = {name: value for name, value in {**PRODUCTION, **changed}.items() if value is not None}
    with pytest.raises(ImproperlyConfigured) as caught:
        validate_environment(environ)
    return str(caught.value)


@pytest.mark.parametrize("name", ["SECRET_KEY", "ADMIN_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "REDIS_URL"])
@pytest.mark.parametrize("value", [None, ""])
def test_production_refuses_to_start_without(name: str, value: str | None) -> None:
    first, *named, _ = refused(**{name: value}).splitlines()
    assert first == "Set these in the environment or in .env:"
    assert [line.split(":")[0].strip() for line in named] == [name]


def test_all_missing_settings_are_reported_at_once_by_any_command(manage: Manage) -> None:
    # What is empty also keeps a developer's .env from answering for the environment.
    done = manage("check", env={**dict.fromkeys(PRODUCTION, ""), "DEBUG": "off"})
    assert (done.returncode, done.stdout) == (1, "")
    named = [line.split(":")[0].strip() for line in done.stderr.splitlines()[1:-1]]
    assert named == ["SECRET_KEY", "ADMIN_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "REDIS_URL"]


@pytest.mark.parametrize(
    ("name", "value", "beginning"),
    [
        ("DATABASE_URL", "mysql://u:hidden@h/d", "DATABASE_URL is not a URL like postgres://"),
        ("DATABASE_URL", "postgres://u:hidden@h:port/d", "DATABASE_URL is not a URL like postgres://"),
        ("REDIS_URL", "localhost:6379", "REDIS_URL is not a URL like redis://"),
        ("DEBUG", "perhaps", "DEBUG is 'perhaps'. It must be on or off."),
        ("TRUST_PROXY", "maybe", "TRUST_PROXY is 'maybe'. It must be on or off."),
        ("LOG_LEVEL", "loud", "LOG_LEVEL is 'loud'. It must be one of DEBUG, INFO, "),
        ("S3_BUCKET", "cards", "S3_BUCKET is set, but django-storages is not installed. Type: "),
        ("CONN_MAX_AGE", "soon", "CONN_MAX_AGE is 'soon'. It must be a whole number of seconds"),
        ("CONN_MAX_AGE", "٣", "CONN_MAX_AGE is '٣'. It must be a whole number of seconds"),
        ("RUN_BEAT", "0", "RUN_BEAT is '0'. It must be a whole number of seconds above 0"),
        ("BACKUP_MAX_AGE_HOURS", "9" * 5000, "BACKUP_MAX_AGE_HOURS is '999"),
        (
            "SECURE_SSL_REDIRECT",
            "on  # remark",
            "SECURE_SSL_REDIRECT is 'on  # remark'. It must be on or ",
        ),
        (
            "ALLOWED_HOSTS",
            "a.example.com b.example.com",
            "ALLOWED_HOSTS has 'a.example.com b.example.com'. Each item must be a host name, for example ",
        ),
        (
            "ALLOWED_HOSTS",
            "https://a.example.com",
            "ALLOWED_HOSTS has 'https://a.example.com'. Each item must ",
        ),
        (
            "ALLOWED_HOSTS",
            "a.example.com,,b.example.com",
            "ALLOWED_HOSTS has an empty item: remove the extra comma.",
        ),
        ("CSRF_TRUSTED_ORIGINS", "a.example.com", "CSRF_TRUSTED_ORIGINS has 'a.example.com'. Each item"),
        (
            "IMAGE_ORIGINS",
            "https://a.example.com; script-src *",
            "IMAGE_ORIGINS has 'https://a.example.com; scr",
        ),
        ("SECRET_KEY_FALLBACKS", "hidden,", "SECRET_KEY_FALLBACKS has an empty item: "),
        (
            "S3_ENDPOINT_URL",
            "s3.example.com",
            "S3_ENDPOINT_URL is 's3.example.com'. It must be a URL, for example ",
        ),
        ("DATABASE_URL", "postgres://u:1#hidden@h/d", "DATABASE_URL is not a URL like postgres://"),
        ("DATABASE_URL", "postgres://u:1/hidden@h/d", "DATABASE_URL is not a URL like postgres://"),
        ("DATABASE_URL", "postgres://u:1?hidden@h/d", "DATABASE_URL is not a URL like postgres://"),
        ("DATABASE_URL", "postgres://u:[hidden@h/d", "DATABASE_URL is not a URL like postgres://"),
        ("REDIS_URL", "redis://:1#hidden@h:6379/0", "REDIS_URL is not a URL like redis://"),
    ],
)
def test_an_invalid_setting_is_named_without_its_password(name: str, value: str, beginning: str) -> None:
    message = refused(**{name: value})
    assert message.startswith(beginning)
    assert "hidden" not in message


@pytest.mark.parametrize(
    "name", sorted({*BOOLEAN_VARIABLES, *NUMERIC_VARIABLES, *FOLDER_VARIABLES, "LOG_LEVEL"})
)
def test_an_empty_value_is_refused_where_one_is_needed(name: str) -> None:
    assert refused(**{name: ""}).startswith(f"{name} is ''. It must be ")


def test_empty_items_of_a_list_are_reported_once() -> None:
    assert refused(ALLOWED_HOSTS=",,") == "ALLOWED_HOSTS has an empty item: remove the extra comma."


@pytest.mark.parametrize("name", sorted(LIST_VARIABLES))
def test_the_items_of_a_list_may_have_spaces_around_them(name: str) -> None:
    items = (
        ["https://a.example.com", "https://b.example.com"] if "ORIGINS" in name else ["a", "b.example.com"]
    )
    environ = {**{k: v for k, v in PRODUCTION.items() if v}, name: f" {' , '.join(items)} "}
    validate_environment(environ)
    assert Environment(environ, Path("/")).items(name) == items


LETTERS = "$a #%b'c\"d\\e$f=:@/?,"


def test_keys_and_passwords_may_contain_any_characters(manage: Manage) -> None:
    env = {**PRODUCTION, "SECRET_KEY": f"${LETTERS}" * 3, "ADMIN_KEY": f"$$ADMIN_KEY{LETTERS}"}
    env["SECRET_KEY_FALLBACKS"] = "$old, #older"
    env["DATABASE_URL"] = f"postgres://k:{quote(LETTERS, safe='')}@127.0.0.1:9/k"
    env["REDIS_URL"] = f"redis://:{quote(LETTERS, safe='')}@127.0.0.1:9/0"
    tell = (
        "import json; from django.conf import settings as s; import django_rq as q; print(json.dumps(["
        "s.SECRET_KEY, s.ADMIN_KEY, s.SECRET_KEY_FALLBACKS, s.DATABASES['default']['PASSWORD'],"
        " q.get_connection().connection_pool.connection_kwargs['password']]))"
    )
    done = manage("shell", "--no-imports", "-c", tell, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    expected = [env["SECRET_KEY"], env["ADMIN_KEY"], ["$old", "#older"], LETTERS, LETTERS]
    assert json.loads(done.stdout) == expected


@pytest.mark.parametrize("letter", list("$%&'\"!*()=+,;:|~^`{}<>\\ "))
def test_a_password_in_a_url_may_hold_what_a_url_may_hold(letter: str) -> None:
    url = f"postgres://k:{letter}x{letter}x@h/k"
    validate_environment({k: v for k, v in {**PRODUCTION, "DATABASE_URL": url}.items() if v})
    assert Env.db_url_config(url)["PASSWORD"] == f"{letter}x{letter}x"


def read(tmp_path: Path, text: str) -> dict[str, str]:
    variables: dict[str, str] = {"SET": "before"}
    (tmp_path / ".env").write_text(text)
    read_env_file(tmp_path / ".env", variables)
    return variables


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("KEY=$a#b%c'd", "$a#b%c'd"),
        ("KEY='$a #b'", "$a #b"),
        ('KEY="a b"', "a b"),
        ("export KEY = a", "a"),
        ("KEY=off   # remark", "off"),
        ("KEY=", ""),
    ],
)
def test_a_line_of_the_env_file_sets_its_value_unchanged(tmp_path: Path, line: str, value: str) -> None:
    assert read(tmp_path, f"# a remark\r\n\n{line}\nSET=after\n") == {"SET": "before", "KEY": value}


@pytest.mark.parametrize("line", ["KEY='hidden", "KEY hidden", "hidden"])
def test_an_invalid_line_of_the_env_file_is_reported_by_number(tmp_path: Path, line: str) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        read(tmp_path, f"A=1\n{line}\n")
    assert "/.env cannot be read in line 2: NAME=VALUE is expected, or NAME='VALUE'." in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_an_env_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    with pytest.raises(ImproperlyConfigured, match=r"/\.env cannot be read: Is a directory$"):
        read_env_file(tmp_path / ".env", {})
    (tmp_path / "latin").write_bytes(b"KEY=\xe9\n")
    with pytest.raises(ImproperlyConfigured, match=r"/latin cannot be read: invalid continuation byte$"):
        read_env_file(tmp_path / "latin", {})


def test_every_line_of_the_example_uncommented_is_a_setting_that_loads(
    manage: Manage, tmp_path: Path
) -> None:
    example = (ROOT / ".env.example").read_text()
    lines = re.findall(r"^#?([A-Z][A-Z0-9_]*=.*)$", example, re.MULTILINE)
    required = {"SECRET_KEY=": "SECRET_KEY=x", "ADMIN_KEY=": "ADMIN_KEY=x"}
    text = "\n".join(required.get(line, line) for line in lines).replace("@HOST:", "@127.0.0.1:")
    env: dict[str, str | None] = dict.fromkeys(read(tmp_path, text), None)
    env |= {name: value for name, value in read(tmp_path, text).items() if name != "SET"}
    names = ["DEBUG", "SECURE_SSL_REDIRECT", "LOG_LEVEL", "S3_BUCKET", "MEDIA_ROOT", "RUN_SLICE"]
    tell = f"from django.conf import settings as s; print(*(getattr(s, name) for name in {names}))"
    done = manage("shell", "--no-imports", "-c", tell, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"False True WARNING  {ROOT}/var/media 60\n"


def test_the_deployment_checks_report_nothing(manage: Manage) -> None:
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
def test_the_isolation_level_is_read_committed_whatever_the_server_default() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_isolation = 'serializable'")
        with transaction.atomic():
            cursor.execute("SHOW transaction_isolation")
            assert cursor.fetchone() == ("read committed",)
        cursor.execute("RESET default_transaction_isolation")


def test_the_debug_page_shows_no_password(settings: Any) -> None:
    settings.DEBUG, settings.REDIS_URL = True, PRODUCTION["REDIS_URL"]
    settings.RQ_QUEUES = {"default": {"URL": PRODUCTION["REDIS_URL"]}}
    request = RequestFactory().get("/", DATABASE_URL=PRODUCTION["DATABASE_URL"])
    page = get_exception_reporter_class(request)(request, None, None, None).get_traceback_html()
    assert "REDIS_URL" in page
    assert "RQ_QUEUES" in page
    assert ":hidden@" not in page
    assert settings.STATIC_URL in page
