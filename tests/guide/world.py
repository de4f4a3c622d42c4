"""Where the guide is gone through: production as an operator has it, on servers of its own."""

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
from tests.guide import zygote
from tests.guide.reader import Step

ROOT = Path(__file__).resolve().parents[2]
_SECONDS = 120
_CARDS = 1_247
_UMASK = 0o022  # the guide shows permissions


class World:
    """A copy of the code, whose models the guide changes; PostgreSQL, Valkey, the site and a worker."""

    def __init__(self, folder: Path, postgres: LocalPostgres, valkey: LocalValkey) -> None:
        self.folder, self.postgres = folder / "kyndo", postgres
        self.services: dict[str, LocalServer] = {"redis": valkey, "postgres": postgres}
        for package in ("kyndo", "cards", "ops"):
            shutil.copytree(ROOT / package, self.folder / package)
        shutil.copy(ROOT / "manage.py", self.folder)
        self.port = find_free_port(0)
        self.env = self._env(folder, valkey)
        self.processes: list[subprocess.Popen[bytes]] = []
        self._start(sys.executable, ROOT / "tests" / "guide" / "zygote.py", folder / "zygote")
        self._wait_for((folder / "zygote").exists)

    def _env(self, folder: Path, valkey: LocalValkey) -> dict[str, str]:
        programs = folder / "bin"
        programs.mkdir()
        shim = programs / "manage.py"
        client = folder / "client.py"
        address, program = str(folder / "zygote"), str(self.folder / "manage.py")
        client.write_text(zygote.CLIENT.format(address=address, program=program))
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

    def type(self, command: str) -> str:
        """What a terminal would show: all output, and the exit status unless it is 0."""
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
        told = "".join(f"{line.rstrip()}\n" for line in done.stdout.decode().splitlines())
        return f"{told}[{done.returncode}]\n" if done.returncode else told

    def do(self, step: Step) -> str:
        if step.kind in ("stop", "start"):
            getattr(self.services[step.typed], step.kind)()
            return ""
        if step.kind == "hidden":
            self.must(f"set -e\n{step.typed}")
            return ""
        if step.kind == "console":
            return self.type(step.typed)
        if step.kind == "diff":
            words = ["git", "apply", "--whitespace=nowarn", "-"]
            subprocess.run(words, cwd=self.folder, env=self.env, input=step.typed, text=True, check=True)
        else:
            file = self.folder / step.detail
            file.write_text(f"{file.read_text()}\n\n{step.typed}" if file.exists() else step.typed)
        return ""

    def as_the_guide_finds_it(self) -> None:
        """The cards of the old backend: no rarity_v2 yet, and migrations that wait for it."""
        self.must("manage.py migrate && manage.py load_rules --execute")
        self.must(f"manage.py generate_cards {_CARDS} --without-rarity-v2 --pack birds")
        self.must("manage.py migrate cards 0001")
        self.sql("UPDATE django_migrations SET applied = applied - interval '30 days'")

    def open(self) -> None:
        """The site and a worker start."""
        bind = f"127.0.0.1:{self.port}"
        self._start(sys.executable, "-m", "gunicorn", "kyndo.wsgi", "--bind", bind, "--no-control-socket")
        self._start(sys.executable, "manage.py", "rqworker", "default")
        self._wait_for(self._is_open)

    def close(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(_SECONDS)

    def _start(self, *words: str | Path) -> None:
        with (self.folder.parent / "processes.log").open("a") as log:
            self.processes.append(
                subprocess.Popen(words, cwd=self.folder, env=self.env, stdout=log, stderr=log, umask=_UMASK)
            )

    def _wait_for(self, happened: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _SECONDS
        while not happened():
            alive = all(process.poll() is None for process in self.processes)
            if not alive or time.monotonic() > deadline:
                raise AssertionError((self.folder.parent / "processes.log").read_text())
            time.sleep(0.02)

    def _is_open(self) -> bool:
        return is_port_in_use(self.port) and "1 worker alive" in self.type("manage.py queue_stats")

    def sql(self, statement: str) -> None:
        self.must(f'psql "$DATABASE_URL" -c "{statement}"')

    def must(self, command: str) -> None:
        """For what goes before the guide, and tells it nothing."""
        told = self.type(command)
        assert not told.endswith("]\n"), f"{command}\n{told}"


@contextmanager
def world(folder: Path, postgres: LocalPostgres) -> Iterator[World]:
    with ExitStack() as stack:
        valkey = LocalValkey(folder / "servers")
        for server in (postgres, valkey):
            stack.callback(server.remove)
            server.start()
        made = World(folder, postgres, valkey)
        stack.callback(made.close)
        yield made
