"""Settings that ops cannot use are named by a system check, and no command does anything before."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection

from ops.checks import TAG
from ops.health.limits import HealthLimits
from tests.manage import Manage

WRONG = {
    "BACKUP_DIR": ["", None, 7],
    "DIRECT_DATABASE": [
        "postgres://localhost/kyndo",
        {},
        {"NAME": 5},
        {"NAME": "kyndo", "HOST": 5},
        {"NAME": "kyndo", "PASSWORD": 5},
        {"NAME": "kyndo", "PORT": 54.32},
        {"NAME": "kyndo", "OPTIONS": "sslmode=require"},
    ],
    "EXPORT_ROOT": ["", " ", None],
    "FOLLOW_UP_WORKERS": [0, -1, "2", True, None, 257, 10**9],
    "OPS_APPROVAL_COMMANDS": ["off", None, 0],
    "OPS_APPROVAL_EXPIRY": [None, 24, timedelta(0), timedelta(days=366)],
    "OPS_APPROVAL_ROWS": [0, -1, "10", True],
    "OPS_BACKUP_MAX_AGE": [24, "1d", timedelta(0), timedelta(hours=-1)],
    "OPS_HEALTH": [None, {"disk": 1}, HealthLimits],
    "OPS_PAGE_STATEMENT_TIMEOUT": [30, timedelta(0)],
    "PG_BIN": ["/usr/bin", None, [7]],
    "RQ_QUEUES": [
        {},
        {"high": {"URL": "redis://localhost"}},
        None,
        {"default": "x"},
        {"default": {}},
        {"default": {"URL": 5}},
        {"default": {"URL": "localhost:6379"}},
        {"default": {"URL": "redis://localhost:port/0"}},
        {"default": {"HOST": "localhost", "PORT": 6379}},
        {"default": {"URL": "redis://localhost"}, "high": "x"},
    ],
    "RUN_BEAT": [0, 0.5, "5", 86_401, 10**12],
    "RUN_SLICE": [0, None, timedelta(seconds=60), 86_401],
}
USABLE = {
    "BACKUP_DIR": ["backups", Path("backups")],
    "DIRECT_DATABASE": [
        None,
        {"NAME": "kyndo"},
        {"NAME": "kyndo", "HOST": "", "PORT": 5432, "USER": None, "OPTIONS": {"sslmode": "require"}},
    ],
    "FOLLOW_UP_WORKERS": [1, 256],
    "OPS_APPROVAL_COMMANDS": [True, False],
    "OPS_APPROVAL_EXPIRY": [timedelta(minutes=1), timedelta(days=365)],
    "OPS_APPROVAL_ROWS": [None, 1, 10_000],
    "OPS_BACKUP_MAX_AGE": [None, timedelta(hours=24)],
    "OPS_HEALTH": [HealthLimits()],
    "PG_BIN": [[], ["/usr/bin"], (Path("/usr/bin"),)],
    "RQ_QUEUES": [
        {"default": {"URL": "redis://:secret@localhost:6379/0", "DEFAULT_TIMEOUT": 60}},
        {"default": {"URL": "unix:///run/redis.sock"}, "high": {"URL": "rediss://cache.example.com"}},
    ],
    "RUN_BEAT": [1, 60, 86_400],
}


def messages() -> list[tuple[Any, str]]:
    return [(found.id, found.msg) for found in run_checks(tags=[TAG])]


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in WRONG for value in WRONG[name]])
def test_a_setting_that_ops_cannot_use_is_named_without_its_value(
    settings: Any, name: str, value: object
) -> None:
    setattr(settings, name, value)
    [found] = run_checks(tags=[TAG])
    assert (found.id, found.msg) == ("ops.E001", f"The setting {name} has a value that ops cannot use.")
    assert found.hint


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in USABLE for value in USABLE[name]])
def test_a_setting_that_ops_can_use_passes(settings: Any, name: str, value: object) -> None:
    setattr(settings, name, value)
    assert messages() == []


def test_another_database_than_postgresql_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "vendor", "sqlite")
    assert messages() == [("ops.E002", "The default database is sqlite; ops needs PostgreSQL.")]


@pytest.mark.parametrize("name", ["cards.exports.parts.nothing", "nowhere.parts", "parts", "os.sep", 7])
def test_export_parts_that_name_no_function_are_refused(settings: Any, name: object) -> None:
    settings.EXPORT_PARTS = name
    [(number, message)] = messages()
    assert number == "ops.E003"
    assert message.startswith(f"The setting EXPORT_PARTS is {name!r}, which ")


def test_a_project_without_exports_needs_no_export_parts(settings: Any) -> None:
    del settings.EXPORT_PARTS
    assert messages() == []


@pytest.mark.parametrize("command", ["runs", "backfill_rarity_v2", "export_json", "preflight"])
def test_a_command_stops_at_a_setting_that_ops_cannot_use(settings: Any, command: str) -> None:
    settings.RUN_SLICE = 0
    with pytest.raises(SystemCheckError, match="RUN_SLICE has a value that ops cannot use"):
        call_command(command, skip_checks=False)


@pytest.mark.parametrize("command", ["backup_db", "preflight", "schema_drift", "load_pack", "migrate"])
def test_a_wrong_direct_database_is_named_before_it_is_used(settings: Any, command: str) -> None:
    settings.DIRECT_DATABASE = "postgres://localhost/kyndo"
    with pytest.raises(SystemCheckError, match="DIRECT_DATABASE has a value that ops cannot use"):
        call_command(command, *(["pack"] if command == "load_pack" else []), skip_checks=False)


@pytest.mark.parametrize("command", ["check", "runs", "migrate"])
def test_no_setting_stops_a_command_before_the_checks_name_it(
    manage: Manage, tmp_path: Path, command: str
) -> None:
    lines = ["from kyndo.settings import *", *(f"{name} = {{}}" for name in WRONG)]
    (tmp_path / "wrong_settings.py").write_text("\n".join(lines))
    done = manage(command, env={"DJANGO_SETTINGS_MODULE": "wrong_settings", "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert re.findall(r"The setting (\w+) has", done.stderr) == sorted(WRONG)
