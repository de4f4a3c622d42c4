"""`manage.py localservices`, with its servers in a folder of the test."""

import shlex
import subprocess
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from pytest_django.fixtures import Settings

from kyndo.localservices.services import LocalServices
from kyndo.localservices.state import ServerState, write_state
from tests.kyndo.conftest import CopyPostgres


class LocalServicesCommand:
    """``localservices("start")`` returns the output; ``localservices.status`` is the exit status."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.status: object = 0

    def __call__(self, *args: str) -> str:
        out, self.status = StringIO(), 0
        try:
            call_command("localservices", *args, stdout=out)
        except SystemExit as exc:
            self.status = exc.code
        return out.getvalue()


@pytest.fixture
def localservices(
    tmp_path: Path, settings: "Settings", monkeypatch: pytest.MonkeyPatch
) -> Iterator[LocalServicesCommand]:
    settings.LOCAL_SERVICES_ROOT = tmp_path
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)
    yield LocalServicesCommand(tmp_path)
    LocalServices(tmp_path, {}).remove()


def test_start_status_and_stop_of_the_local_services(
    localservices: LocalServicesCommand, copy_postgres: CopyPostgres
) -> None:
    copy_postgres(localservices.root)
    assert localservices("status").splitlines() == [
        "PostgreSQL 18 is not running",
        "Valkey is not running",
        "Type: manage.py localservices start",
    ]
    assert localservices.status == 1
    first, second = localservices("start").splitlines()
    assert first.startswith("PostgreSQL 18 started on 127.0.0.1:")
    assert second.startswith("Valkey started on 127.0.0.1:")
    assert [line.split(" on ")[0] for line in localservices("start").splitlines()] == [
        "PostgreSQL 18 is already running",
        "Valkey is already running",
    ]
    assert "PostgreSQL 18 is running on 127.0.0.1:" in localservices("status")
    assert localservices.status == 0
    assert localservices("stop") == "PostgreSQL 18 stopped\nValkey stopped\n"
    assert localservices("stop") == "PostgreSQL 18 was not running\nValkey was not running\n"


def test_a_shell_that_evaluated_env_still_manages_the_servers(
    localservices: LocalServicesCommand, copy_postgres: CopyPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_postgres(localservices.root)
    localservices("start")
    script = (
        localservices("env")
        + 'psql "$DATABASE_URL" --no-psqlrc -Atc "select current_database()"; echo $REDIS_URL'
    )
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "kyndo",
        LocalServices(localservices.root, {}).get_urls()["REDIS_URL"],
    ]
    for name, url in exported(localservices("env")).items():
        monkeypatch.setenv(name, url)
    assert localservices("stop") == "PostgreSQL 18 stopped\nValkey stopped\n"
    assert "PostgreSQL 18 started" in localservices("start")


def exported(lines: str) -> Mapping[str, str]:
    assignments = [assignment for assignment in shlex.split(lines) if "=" in assignment]
    return {
        name: value
        for name, _, value in (assignment.partition("=") for assignment in assignments)
        if name != "PATH"
    }


def test_servers_that_the_environment_names_are_left_alone(
    localservices: LocalServicesCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://kyndo:hidden@db.example.com:5432/kyndo")
    monkeypatch.setenv("REDIS_URL", "redis://:hidden@cache.example.com:6379/0")
    for action in ("start", "status", "stop"):
        assert localservices(action).splitlines() == [
            "DATABASE_URL is set to db.example.com:5432: that server is used, not a local one",
            "REDIS_URL is set to cache.example.com:6379: that server is used, not a local one",
        ]
        assert localservices.status == 0
    assert "hidden@db.example.com" in localservices("env")
    assert list(localservices.root.iterdir()) == []


def test_a_server_that_never_answers_is_not_reported_as_running(localservices: LocalServicesCommand) -> None:
    (localservices.root / "valkey").mkdir()
    write_state(localservices.root / "valkey" / "state.json", ServerState(1, "x"))
    assert "Valkey is not running" in localservices("status")


def test_remove_leaves_nothing(localservices: LocalServicesCommand, copy_postgres: CopyPostgres) -> None:
    copy_postgres(localservices.root)
    localservices("start")
    folders = [server.base_dir for server in LocalServices(localservices.root, {}).servers.values()]
    localservices("remove")
    assert [folder for folder in folders if folder.exists()] == []
    localservices("status")
    assert localservices.status == 1
