"""A production like an operator's, on servers of its own, where the tests type the guide's commands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shlex import quote

from kyndo.localservices.ports import find_free_port, is_port_in_use
from kyndo.localservices.postgres import LocalPostgres
from kyndo.localservices.server import LocalServer
from kyndo.localservices.valkey import LocalValkey
from tests import zygote
from tests.forked_python import zygote_address
from tests.guide.reader import Step

ROOT = Path(__file__).resolve().parents[2]
_SECONDS = 120
_CARDS = 1_247
_UMASK = 0o022  # the guide shows permissions


class World:
    """A copy of the code, which the guide changes; PostgreSQL, Valkey, the site and a worker."""

    def __init__(self, folder: Path, postgres: LocalPostgres, valkey: LocalValkey) -> None:
        self.folder, self.postgres = folder / "kyndo", postgres
        self.services: dict[str, LocalServer] = {"redis": valkey, "postgres": postgres}
        for package in ("kyndo", "cards", "ops"):
            shutil.copytree(ROOT / package, self.folder / package)
        shutil.copy(ROOT / "manage.py", self.folder)
        self.port = find_free_port(0)
        self.env = self._make_env(folder, valkey)
        self.processes: list[subprocess.Popen[bytes]] = []

    def _make_env(self, folder: Path, valkey: LocalValkey) -> dict[str, str]:
        programs = folder / "bin"
        programs.mkdir()
        shim = programs / "manage.py"
        client = folder / "client.py"
        program = str(self.folder / "manage.py")
        client.write_text(zygote.CLIENT.format(address=zygote_address(), program=program))
        shim.write_text(zygote.SHIM.format(python=quote(sys.executable), client=quote(str(client))))
        shim.chmod(0o755)
        (folder / "static").mkdir()
        return {
            "PATH": f"{programs}:{self.postgres.bin_dir}:{os.environ['PATH']}",
            "HOME": str(folder),
            "LOGNAME": "ada",
            "LANG": "C.UTF-8",
            "COLUMNS": "100",
            "PYTHON": sys.executable,
            "DATABASE_URL": self.postgres.url,
            "REDIS_URL": valkey.url,
            "SECRET_KEY": "of the guide",
            "ADMIN_KEY": "of the guide",
            "ALLOWED_HOSTS": "127.0.0.1",
            "MANAGE_COMMAND": "manage.py",
            "STATIC_ROOT": str(folder / "static"),
            "PG_BIN": str(self.postgres.bin_dir),
            "SITE": f"http://127.0.0.1:{self.port}",
        }

    def run(self, command: str) -> str:
        """Run it in bash; return what a terminal would show, and the exit status unless it is 0."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
            check=False,
            umask=_UMASK,
        )
        output = "".join(f"{line.rstrip()}\n" for line in done.stdout.decode().splitlines())
        return f"{output}[{done.returncode}]\n" if done.returncode else output

    def execute(self, step: Step) -> str:
        """Execute the step; return the output of a command, "" for any other step."""
        if step.kind in ("stop", "start"):
            getattr(self.services[step.content], step.kind)()
            return ""
        if step.kind == "hidden":
            self.run_or_fail(f"set -e\n{step.content}")
            return ""
        if step.kind == "console":
            return self.run(step.content)
        if step.kind == "diff":
            argv = ["git", "apply", "--whitespace=nowarn", "-"]
            subprocess.run(argv, cwd=self.folder, env=self.env, input=step.content, text=True, check=True)
        else:
            file = self.folder / step.detail
            file.write_text(f"{file.read_text()}\n\n{step.content}" if file.exists() else step.content)
        return ""

    def load_old_cards(self) -> None:
        """Make the database of the old backend: cards without rarity_v2, and its migrations unapplied."""
        self.run_or_fail("manage.py migrate && manage.py load_rules --execute")
        self.run_or_fail(f"manage.py generate_cards {_CARDS} --without-rarity-v2 --pack birds")
        self.run_or_fail("manage.py migrate cards 0001")
        self.sql("UPDATE django_migrations SET applied = applied - interval '30 days'")
        self.sql("DELETE FROM ops_column_change_event; DELETE FROM ops_column_writer")

    def start_site(self) -> None:
        """Start the site and a worker, and wait until both are ready."""
        bind = f"127.0.0.1:{self.port}"
        self._start(sys.executable, "-m", "gunicorn", "kyndo.wsgi", "--bind", bind, "--no-control-socket")
        self._start(sys.executable, "manage.py", "rqworker", "default")
        self._wait_for(self._is_ready)

    def stop_processes(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(_SECONDS)

    def _start(self, *argv: str | Path) -> None:
        with (self.folder.parent / "processes.log").open("a") as log:
            self.processes.append(
                subprocess.Popen(argv, cwd=self.folder, env=self.env, stdout=log, stderr=log, umask=_UMASK)
            )

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _SECONDS
        while not condition():
            alive = all(process.poll() is None for process in self.processes)
            if not alive or time.monotonic() > deadline:
                raise AssertionError((self.folder.parent / "processes.log").read_text())
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        return is_port_in_use(self.port) and "1 worker alive" in self.run("manage.py queue_stats")

    def sql(self, statement: str) -> None:
        self.run_or_fail(f'psql "$DATABASE_URL" -c "{statement}"')

    def run_or_fail(self, command: str) -> None:
        """Run a command of the setup, whose output does not matter; raise AssertionError if it fails."""
        output = self.run(command)
        assert not output.endswith("]\n"), f"{command}\n{output}"


@contextmanager
def create_world(folder: Path, postgres: LocalPostgres) -> Iterator[World]:
    with ExitStack() as stack:
        valkey = LocalValkey(folder / "servers")
        for server in (postgres, valkey):
            stack.callback(server.remove)
            server.start()
        world = World(folder, postgres, valkey)
        stack.callback(world.stop_processes)
        yield world
