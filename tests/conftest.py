"""What every test may ask for. The servers come from the plugin `tests.services`."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from django.apps import apps
from django.conf import settings
from django.db import connection
from django.test import TransactionTestCase

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True, scope="session")
def _empty_tables_quickly() -> Iterator[None]:
    """DELETE after a test with transactions: Django's TRUNCATE takes twenty times as long."""

    def teardown(self: TransactionTestCase) -> None:
        kept = ("contenttypes.contenttype", "auth.permission")
        models = [m for m in apps.get_models(include_auto_created=True) if m._meta.label_lower not in kept]
        emptied = "".join(f'DELETE FROM "{m._meta.db_table}";' for m in models if m._meta.managed)
        with connection.cursor() as cursor:  # as a replica: no trigger protects the audit log
            cursor.execute(
                f"SET session_replication_role = replica; {emptied} RESET session_replication_role"
            )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", teardown)
        yield


class Manage:
    """Runs ``manage.py`` as a real process on the test's database, with plain 100-column output."""

    def __init__(self) -> None:
        url = urlsplit(os.environ["DATABASE_URL"])
        self.database_url = url._replace(path=f"/{connection.settings_dict['NAME']}").geturl()

    def __call__(
        self, *args: object, stdin: str | None = None, env: Mapping[str, str | None] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run to the end. Has ``returncode``, ``stdout``, ``stderr``; None in ``env`` unsets a variable."""
        return subprocess.run(
            input=stdin, capture_output=True, timeout=240, check=False, **self._process(args, env)
        )

    def popen(
        self, *args: object, env: Mapping[str, str | None] | None = None, **popen: Any
    ) -> "subprocess.Popen[str]":
        """Start and return at once, for tests that signal or kill it; stdout and stderr are pipes."""
        pipes: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        }
        # A suite that runs in the background of a shell has SIGINT ignored, and children inherit that.
        pipes["preexec_fn"] = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        return subprocess.Popen(**self._process(args, env), **{**pipes, **popen})

    def _process(self, args: tuple[object, ...], env: Mapping[str, str | None] | None) -> dict[str, Any]:
        changed = {"DATABASE_URL": self.database_url, "COLUMNS": "100", **(env or {})}
        return {
            "args": [sys.executable, ROOT / "manage.py", *map(str, args)],
            "env": {k: v for k, v in {**os.environ, **changed}.items() if v is not None},
            "cwd": ROOT,
            "text": True,
        }


@pytest.fixture
def manage(transactional_db: None) -> Manage:
    """``manage("runs", "show", 1)``: see `Manage`. What the test saved is there for the command to see."""
    return Manage()


@pytest.fixture
def redis_server() -> Iterator["redis.Redis"]:
    """The worker's own Redis database, empty before and after."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.flushdb()
        yield client
        client.flushdb()
