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
from tests.kyndo.conftest import Lay


class Typed:
    """``typed("start")`` returns what it printed; ``typed.status`` is the exit status."""

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
def typed(tmp_path: Path, settings: "Settings", monkeypatch: pytest.MonkeyPatch) -> Iterator[Typed]:
    settings.LOCAL_SERVICES_ROOT = tmp_path
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)
    yield Typed(tmp_path)
    LocalServices(tmp_path, {}).remove()


def test_start_status_and_stop_of_the_local_services(typed: Typed, lay: Lay) -> None:
    lay(typed.root)
    assert typed("status").splitlines() == [
        "PostgreSQL 18 is not running",
        "Valkey is not running",
        "Type: manage.py localservices start",
    ]
    assert typed.status == 1
    first, second = typed("start").splitlines()
    assert first.startswith("PostgreSQL 18 started on 127.0.0.1:")
    assert second.startswith("Valkey started on 127.0.0.1:")
    assert [line.split(" on ")[0] for line in typed("start").splitlines()] == [
        "PostgreSQL 18 is already running",
        "Valkey is already running",
    ]
    assert "PostgreSQL 18 is running on 127.0.0.1:" in typed("status")
    assert typed.status == 0
    assert typed("stop") == "PostgreSQL 18 stopped\nValkey stopped\n"
    assert typed("stop") == "PostgreSQL 18 was not running\nValkey was not running\n"


def test_a_shell_that_evaluated_env_still_manages_the_servers(
    typed: Typed, lay: Lay, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(typed.root)
    typed("start")
    script = (
        typed("env") + 'psql "$DATABASE_URL" --no-psqlrc -Atc "select current_database()"; echo $REDIS_URL'
    )
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["kyndo", LocalServices(typed.root, {}).get_urls()["REDIS_URL"]]
    for name, url in exported(typed("env")).items():
        monkeypatch.setenv(name, url)
    assert typed("stop") == "PostgreSQL 18 stopped\nValkey stopped\n"
    assert "PostgreSQL 18 started" in typed("start")


def exported(lines: str) -> Mapping[str, str]:
    assignments = [assignment for assignment in shlex.split(lines) if "=" in assignment]
    return {
        name: value
        for name, _, value in (assignment.partition("=") for assignment in assignments)
        if name != "PATH"
    }


def test_servers_that_the_environment_names_are_left_alone(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://kyndo:hidden@db.example.com:5432/kyndo")
    monkeypatch.setenv("REDIS_URL", "redis://:hidden@cache.example.com:6379/0")
    for action in ("start", "status", "stop"):
        assert typed(action).splitlines() == [
            "DATABASE_URL is set to db.example.com:5432: that server is used, not a local one",
            "REDIS_URL is set to cache.example.com:6379: that server is used, not a local one",
        ]
        assert typed.status == 0
    assert "hidden@db.example.com" in typed("env")
    assert list(typed.root.iterdir()) == []


def test_a_server_that_never_answers_is_not_reported_as_running(typed: Typed) -> None:
    (typed.root / "valkey").mkdir()
    write_state(typed.root / "valkey" / "state.json", ServerState(1, "x"))
    assert "Valkey is not running" in typed("status")


def test_remove_leaves_nothing(typed: Typed, lay: Lay) -> None:
    lay(typed.root)
    typed("start")
    places = [server.base_dir for server in LocalServices(typed.root, {}).servers.values()]
    typed("remove")
    assert [place for place in places if place.exists()] == []
    typed("status")
    assert typed.status == 1
