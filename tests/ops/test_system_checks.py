"""Settings that ops cannot use are named by a system check, and no command does anything before."""

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

WRONG = {
    "BACKUP_DIR": ["", None, 7],
    "DIRECT_DATABASE": ["postgres://localhost/kyndo", {}],
    "EXPORT_ROOT": ["", " ", None],
    "FOLLOW_UP_WORKERS": [0, -1, "2", True, None],
    "OPS_BACKUP_MAX_AGE": [24, "1d", timedelta(0), timedelta(hours=-1)],
    "OPS_HEALTH": [None, {"disk": 1}, HealthLimits],
    "PG_BIN": ["/usr/bin", None, [7]],
    "RQ_QUEUES": [{}, {"high": {}}, None],
    "RUN_BEAT": [0, 0.5, "5"],
    "RUN_SLICE": [0, None, timedelta(seconds=60)],
}
USABLE = {
    "BACKUP_DIR": ["backups", Path("backups")],
    "DIRECT_DATABASE": [None, {"NAME": "kyndo"}],
    "OPS_BACKUP_MAX_AGE": [None, timedelta(hours=24)],
    "OPS_HEALTH": [HealthLimits()],
    "PG_BIN": [[], ["/usr/bin"], (Path("/usr/bin"),)],
    "RUN_BEAT": [1, 60],
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
