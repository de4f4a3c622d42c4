"""A project whose commands are killed, or whose server stops meanwhile, and which must end the same."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from kyndo.localservices.postgres import LocalPostgres
from tests.manage import ROOT
from tests.ops.running import wait_until
from tests.ops.shop import Shop

_LEFT_SQL = """
SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid
UNION ALL SELECT conname FROM pg_constraint WHERE NOT convalidated
UNION ALL SELECT relname FROM pg_class WHERE relname = 'ops_unfinished_migrations'
UNION ALL SELECT 'claim of run ' || run_id FROM ops_claim
"""
_ROWS_SQL = "SELECT to_jsonb(shop_item) FROM shop_item ORDER BY id"
_ATTEMPTS = 20


@dataclass(frozen=True)
class Command:
    """A running command; ``log`` has what it writes."""

    pid: int
    server: "subprocess.Popen[str]"
    log: Path

    def wait(self) -> int:
        assert self.server.stdout
        return int(self.server.stdout.readline())

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


class DisturbedShop:
    """A shop that takes a step several times from the same state, each time disturbed at another moment."""

    def __init__(self, project: Shop, server: LocalPostgres, folder: Path) -> None:
        self.project, self.server, self.folder = project, server, folder
        self.migrations, self.kept = project.root / "migrations", folder / "kept"
        self.name = urlsplit(project.url).path.strip("/")
        self.forks: dict[str, subprocess.Popen[str]] = {}
        self.logs = 0

    def start(self, generation: str, *words: str) -> Command:
        """Start a command of manage.py."""
        if generation not in self.forks:
            root = self.project.root / generation
            env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "DJANGO"))}
            env["PYTHONPATH"] = f"{root}{os.pathsep}{ROOT}"
            self.forks[generation] = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.forked_commands"],
                cwd=root,
                env=env,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        fork, self.logs = self.forks[generation], self.logs + 1
        log = self.folder / f"{self.logs}.log"
        assert fork.stdin
        assert fork.stdout
        fork.stdin.write(json.dumps([words, str(log)]) + "\n")
        fork.stdin.flush()
        return Command(int(fork.stdout.readline()), fork, log)

    def run(self, generation: str, *words: str) -> None:
        command = self.start(generation, *words)
        status = command.wait()
        assert status == 0, f"{words}: {status} {command.log.read_text()}"

    def stop(self) -> None:
        for fork in self.forks.values():
            fork.communicate()

    def read_state(self) -> Any:
        """Return the catalogue, the log of the change, the rows, the migration files, and what was left."""
        self.project.connect()
        with self.project.session:
            files = sorted(self.migrations.glob("[!._]*.py"))
            return (
                self.project.catalogue(),
                self.project.execute(_ROWS_SQL),
                {file.name: file.read_text() for file in files},
                self.project.execute(_LEFT_SQL),
            )

    def add_backup(self) -> None:
        self.project.connect()
        self.project.add_backup(self.folder / "file.dump")

    def keep(self) -> None:
        """Keep the state, so that it can be restored."""
        shutil.rmtree(self.kept, ignore_errors=True)
        shutil.copytree(self.migrations, self.kept)
        self._copy(self.name, f"{self.name}_kept")

    def restore(self) -> None:
        for file in self.migrations.iterdir():
            shutil.rmtree(file) if file.is_dir() else file.unlink()
        shutil.copytree(self.kept, self.migrations, dirs_exist_ok=True)
        self._copy(f"{self.name}_kept", self.name)

    def forget(self) -> None:
        self._admin("DROP DATABASE IF EXISTS {} WITH (FORCE)", f"{self.name}_kept")

    def _copy(self, source: str, target: str) -> None:
        self.project.session.close()
        self._admin("DROP DATABASE IF EXISTS {} WITH (FORCE)", target)
        self._admin("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}", source)
        wait_until(lambda: not self._admin("SELECT 1 FROM pg_stat_activity WHERE datname = {}", source))
        # By its default strategy a copy's sequence could go back when the server stops at once.
        self._admin("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy", target, source)

    def _admin(self, statement: str, *names: str) -> list[Any]:
        kind = sql.Literal if "= {}" in statement else sql.Identifier
        with psycopg.connect(self.server.url, autocommit=True) as admin:
            cursor = admin.execute(sql.SQL(statement).format(*map(kind, names)))
            return cursor.fetchall() if cursor.description else []

    # The disturbances

    def disturb(self, kind: str, command: Command) -> None:
        """Kill the command, or stop PostgreSQL; leave both ended, and PostgreSQL running."""
        if kind == "kill":
            command.kill()
            command.wait()
            return
        if kind == "fast":
            self.server.stop()
        else:
            main = self.server.main_process()
            assert main
            main.send_signal(signal.SIGQUIT)
            wait_until(lambda: not self.server.processes())
        self.server.start()
        command.wait()
        written = command.log.read_text()
        # Django's own manage.py tells it in this way.
        assert "Traceback" not in written or "\ndjango.db.utils." in written, written

    def try_again(self, generation: str, words: tuple[str, ...], is_done: Callable[[], bool]) -> str:
        """Run the command until the step is taken; return what the attempts wrote.

        The session of a killed process may go on for a moment, and holds the lock of the step.
        """
        written = ""
        for _ in range(_ATTEMPTS):
            if is_done():
                return written
            command = self.start(generation, *words)
            status = command.wait()
            written += f"[{status}] {command.log.read_text()}"
            if status:
                time.sleep(0.2)
        return written

    def take_disturbed(self, generation: str, words: tuple[str, ...], kinds: list[str]) -> None:
        """Take the step undisturbed; and once for each of the kinds, disturbed at a random instant."""
        self.keep()
        began = time.monotonic()
        self.run(generation, *words)
        duration = time.monotonic() - began
        expected = self.read_state()
        assert expected[-1] == []
        for kind in kinds:
            self.restore()
            command = self.start(generation, *words)
            moment = random.uniform(0, duration)
            time.sleep(moment)
            self.disturb(kind, command)
            written = self.try_again(generation, words, lambda: self.read_state() == expected)
            found = self.read_state()
            where = f"{words}, {kind} after {moment:.3f} of {duration:.3f} s: {written}"
            for part, wanted in zip(found, expected, strict=True):
                assert part == wanted, where
            assert "Traceback" not in written, where
