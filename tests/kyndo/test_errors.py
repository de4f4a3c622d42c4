"""Errors that an operator can fix: one or two lines, exit status 1, no traceback."""

import signal
import subprocess
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.db.models import Model

from tests.conftest import Manage
from tests.ops.running import execute_sql, hide_tables, override_connection

NOWHERE = {"DATABASE_URL": "postgres://kyndo:hidden@127.0.0.1:9/kyndo"}


def test_a_database_out_of_reach_is_named_without_its_password(manage: Manage) -> None:
    done = manage("migrate", env=NOWHERE)
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert first.startswith("PostgreSQL cannot be used at 127.0.0.1:9/kyndo: ")
    assert (
        second
        == "The address comes from DATABASE_URL. Check that it is right and that the server is running."
    )
    assert "hidden" not in done.stderr


def test_a_wrong_password_is_reported_without_a_traceback(manage: Manage) -> None:
    with override_connection(PASSWORD="wrong"):
        done = manage("migrate")
    assert done.returncode == 1
    assert "password authentication failed" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_database_is_reported_without_a_traceback(manage: Manage) -> None:
    with override_connection(NAME="not_there"):
        done = manage("migrate")
    assert done.returncode == 1
    assert "does not exist" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_table_asks_for_the_migrations(manage: Manage) -> None:
    with override_connection(NAME="postgres"):
        done = manage("clearsessions")
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert 'relation "django_session" does not exist' in first
    assert second == "Type: manage.py migrate"


def test_tables_that_were_dropped_by_hand_are_named_with_the_way_back(manage: Manage) -> None:
    with hide_tables("ops_run", "django_session"):
        done = manage("runs")
    first, missing, see, restore, anew = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    assert 'relation "ops_run" does not exist' in first
    assert missing == "Missing, although all migrations are recorded as applied: django_session, ops_run."
    assert see.endswith(": manage.py schema_drift")
    assert restore.endswith(f"manage.py restore_db FILE --confirm {connection.settings_dict['NAME']}")
    assert anew.endswith(": manage.py migrate sessions zero --fake; manage.py migrate")


def test_an_app_that_tables_of_another_build_on_is_not_to_be_made_anew(manage: Manage) -> None:
    with hide_tables("ops_run", "django_content_type"):
        done = manage("runs")
    assert "\nMissing, although all migrations are recorded as applied: django_content_type" in done.stderr
    assert "To create the tables" not in done.stderr


BUILDING = ("admin", "auth", "kyndo", "ops")


def test_apps_that_build_on_another_are_made_anew_with_it(manage: Manage) -> None:
    building = [model._meta.db_table for app in BUILDING for model in models_of(app)]
    with hide_tables("django_session", "django_content_type", *building):
        done = manage("runs")
    named, typed = done.stderr.splitlines()[-1].split(": ")
    assert (
        named == "To create the tables of admin, auth, contenttypes, kyndo, ops, sessions again, without data"
    )
    assert typed.split("; ") == [
        "manage.py migrate contenttypes zero --fake",
        "manage.py migrate sessions zero --fake",
        "manage.py migrate",
    ]


def models_of(app: str) -> list[type[Model]]:
    return list(apps.get_app_config(app).get_models(include_auto_created=True))


def test_a_column_that_was_dropped_by_hand_asks_for_no_migration(manage: Manage) -> None:
    execute_sql("ALTER TABLE ops_run RENAME error TO gone")
    try:
        done = manage("runs")
    finally:
        execute_sql("ALTER TABLE ops_run RENAME gone TO error")
    assert done.returncode == 1
    assert "so migrate would do nothing.\nTo see the differences" in done.stderr


def test_the_traceback_option_shows_the_traceback(manage: Manage) -> None:
    with override_connection(PORT=9):
        done = manage("migrate", "--traceback")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")


LOST = """
from ops.backups.server import Server
server = Server.default()
with server.connect_for_maintenance() as other, server.connect_for_maintenance() as ours, ours.transaction():
    other.execute("SELECT pg_terminate_backend(%s, 10000)", [ours.info.backend_pid])
    raise SystemExit("told")
"""


def test_only_the_first_error_is_reported_if_the_connection_is_lost(manage: Manage) -> None:
    done = manage.process("shell", "--no-imports", "-c", LOST)
    assert (done.returncode, done.stderr) == (1, "told\n")


def test_an_unreachable_redis_is_reported_without_a_traceback(manage: Manage, settings: Any) -> None:
    settings.REDIS_URL = "redis://:hidden@127.0.0.1:9/3"
    settings.RQ_QUEUES = {"default": {"URL": settings.REDIS_URL}}
    done = manage("shell", "--no-imports", "-c", PING)
    assert done.returncode == 1
    assert done.stderr.startswith("Redis cannot be used at 127.0.0.1:9/3: ")
    assert "hidden" not in done.stderr


PING = "import django_rq; django_rq.get_connection().ping()"


def test_a_mistake_in_the_code_keeps_its_traceback(manage: Manage) -> None:
    done = manage.process("shell", "--no-imports", "-c", "1 / 0")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")


def test_an_unknown_command_is_refused(manage: Manage) -> None:
    done = manage("frobnicate")
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "Unknown command: 'frobnicate'"


SLEEP = "print('ready', flush=True); import signal; signal.pause()"


def test_ctrl_c_ends_quietly(manage: Manage) -> None:
    process = manage.popen("shell", "--no-imports", "-c", SLEEP)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate()
    assert (process.returncode, stderr) == (130, "")


def test_a_reader_that_stops_reading_is_no_error(manage: Manage) -> None:
    process = manage.popen("shell", "--no-imports", "-c", "for n in range(10**6): print(n)")
    assert process.stdout
    assert process.stdout.readline() == "0\n"
    process.stdout.close()
    assert process.stderr
    assert process.stderr.read() == ""
    assert process.wait() == 128 + signal.SIGPIPE


def test_a_python_without_django_is_told_what_to_type(manage: Manage) -> None:
    command = manage._process(("check",), None)
    command["args"].insert(1, "-S")  # no site-packages
    done = subprocess.run(capture_output=True, check=False, **command)
    assert done.returncode == 1
    assert "make demo" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("last", ["", "; raise SystemExit(1)"])
def test_a_full_disk_behind_the_output_is_reported_in_one_line(
    manage: Manage, unbuffered: str, last: str
) -> None:
    with open("/dev/full", "w") as full:
        process = manage.popen(
            "shell",
            "--no-imports",
            "-c",
            "print('words')" + last,
            stdout=full,
            env={"PYTHONUNBUFFERED": unbuffered},
        )
        _, stderr = process.communicate()
    assert (process.returncode, stderr) == (1, "The output cannot be written: No space left on device\n")


def test_a_closed_output_is_no_error(manage: Manage) -> None:
    command = manage._process(("check",), None)
    command["args"] = ["sh", "-c", '"$@" >&-', "sh", *command["args"]]
    done = subprocess.run(stderr=subprocess.PIPE, check=False, **command)
    assert (done.returncode, done.stderr) == (0, "")
