"""A pytest plugin: the servers of the test session, and the environment of its settings.

DATABASE_URL and REDIS_URL are used if they are set. Otherwise the session starts its own servers under var/,
separate from those of `make demo`, and stops them at its end; pytest-xdist's workers use the controller's.
"""

import fcntl
import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from kyndo.localservices.postgres import LocalPostgres
from kyndo.localservices.server import LocalServer
from kyndo.localservices.valkey import LocalValkey

VAR_DIR = Path(__file__).resolve().parent.parent / "var"
TEST_ENVIRONMENT = {
    "DEBUG": "on",
    "SECRET_KEY": "test",
    "ADMIN_KEY": "test",
    "ALLOWED_HOSTS": "",
    "MANAGE_COMMAND": "manage.py",  # independent of how the tests were started
    "LOG_DIR": str(VAR_DIR / "test-logs"),
    "STATIC_ROOT": str(VAR_DIR / "test-static"),
}
# Set if the suite runs on a PostgreSQL named by the shell, whose version is then not checked.
DATABASE_GIVEN_VARIABLE = "KYNDO_TEST_DATABASE_GIVEN"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pg", type=int, choices=[16, 18], default=18, help="major version of PostgreSQL")
    parser.addoption("--record", action="store_true", help="write the outputs into docs/guide")


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_auto_num_workers() -> int:
    """Use one worker more than there are CPUs, since tests often wait for a process, a lock or a server.

    At most four: a container sees all the CPUs of its host, even if it may use only a few.
    """
    return min((os.cpu_count() or 1) + 1, 4)


@pytest.hookimpl(wrapper=True)  # before pytest-django reads the settings
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    options = early_config.known_args_namespace
    os.environ.update(TEST_ENVIRONMENT)
    # Otherwise each of the suite's hundreds of processes compiles every module again, in 0.2 s.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # WhiteNoise warns if the folder is missing.
    Path(TEST_ENVIRONMENT["STATIC_ROOT"]).mkdir(parents=True, exist_ok=True)
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None and not (options.help or options.version or options.collectonly):
        _start_servers(early_config, options.pg)
    if "REDIS_URL" in os.environ:
        # One Redis database for each worker, but not 0, which may hold jobs of a developer.
        number = 1 + int((worker or "gw0").removeprefix("gw"))
        os.environ["REDIS_URL"] = urlsplit(os.environ["REDIS_URL"])._replace(path=f"/{number}").geturl()
    return (yield)


def _start_servers(config: pytest.Config, version: int) -> None:
    os.environ[DATABASE_GIVEN_VARIABLE] = "yes" if os.environ.get("DATABASE_URL") else ""
    missing = [name for name in ("DATABASE_URL", "REDIS_URL") if not os.environ.get(name)]
    if not missing:
        return
    lock = _lock_session_folder()
    config.add_cleanup(lock.close)
    root = Path(lock.name).parent
    servers: dict[str, LocalServer] = {
        "DATABASE_URL": LocalPostgres(
            root, version, durable=False, settings={"max_prepared_transactions": "2"}
        ),
        "REDIS_URL": LocalValkey(root),
    }
    for name in missing:
        config.add_cleanup(servers[name].stop)
        servers[name].start()
        os.environ[name] = servers[name].url
    if "DATABASE_URL" in missing:
        _hash_password_once(os.environ["DATABASE_URL"])


def _hash_password_once(url: str) -> None:
    """Make logging in cheap: it would take longer than all else that opens one of thousands of sessions."""
    with psycopg.connect(url) as session:
        session.execute("SET scram_iterations = 1")
        session.execute(sql.SQL("ALTER ROLE CURRENT_USER PASSWORD {}").format(session.info.password))


def _lock_session_folder() -> TextIO:
    """Lock a folder for this session: a new one, or that of a killed session, with its servers."""
    number = 0
    while True:
        folder = VAR_DIR / ("test" if number == 0 else f"test-{number}")
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            number += 1
        else:
            return lock
