"""Where the guide is gone through: production as an operator has it, on servers and in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from kyndo.localservices.ports import free_port
from kyndo.localservices.postgres import LocalPostgres
from kyndo.localservices.valkey import LocalValkey
from tests.guide.reader import Step

ROOT = Path(__file__).resolve().parents[2]
_SECONDS = 120
_CARDS = 1_247


class World:
    """A copy of the code, whose models the guide changes; a PostgreSQL and a Valkey, the site and a worker."""

    def __init__(self, folder: Path, postgres: LocalPostgres, valkey: LocalValkey) -> None:
        self.folder, self.postgres = folder / "kyndo", postgres
        for package in ("kyndo", "cards", "ops"):
            shutil.copytree(ROOT / package, self.folder / package)
        shutil.copy(ROOT / "manage.py", self.folder)
        self.port = free_port(0)
        self.env = self._env(folder, valkey)
        self.processes: list[subprocess.Popen[bytes]] = []

    def _env(self, folder: Path, valkey: LocalValkey) -> dict[str, str]:
        programs = folder / "bin"
        programs.mkdir()
        shim = programs / "manage.py"
        shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{self.folder}/manage.py" "$@"\n')
        shim.chmod(0o755)
        (folder / "static").mkdir()
        return {
            "PATH": f"{programs}:{self.postgres.bin}:{os.environ['PATH']}",
            "HOME": str(folder),
            "LOGNAME": "ada",
            "LANG": "C.UTF-8",
            "COLUMNS": "100",
            "DATABASE_URL": self.postgres.url,
            "REDIS_URL": valkey.url,
            "SECRET_KEY": "of the guide",
            "ADMIN_KEY": "of the guide",
            "ALLOWED_HOSTS": "127.0.0.1",
            "STATIC_ROOT": str(folder / "static"),
            "PG_BIN": str(self.postgres.bin),
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
        )
        told = "".join(f"{line.rstrip()}\n" for line in done.stdout.decode().splitlines())
        return f"{told}[{done.returncode}]\n" if done.returncode else told

    def do(self, step: Step) -> str:
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
        # Migrating back leaves the trigger's function, of which the old backend's database knows nothing.
        self.must('psql "$DATABASE_URL" -c "DROP FUNCTION pgtrigger_keep_rarity_equal_ef94f"')

    def open(self) -> None:
        """The site and a worker start."""
        self._start("gunicorn", "kyndo.wsgi", "--bind", f"127.0.0.1:{self.port}", "--no-control-socket")
        self._start("manage.py", "rqworker", "default")
        deadline = time.monotonic() + _SECONDS
        while not self._answers():
            assert time.monotonic() < deadline and all(p.poll() is None for p in self.processes), self._log()
            time.sleep(0.05)

    def close(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(_SECONDS)

    def _start(self, *words: str) -> None:
        words = (sys.executable, "-m", *words) if words[0] == "gunicorn" else words
        with (self.folder.parent / "processes.log").open("a") as log:
            process = subprocess.Popen(
                ["/usr/bin/env", *words], cwd=self.folder, env=self.env, stdout=log, stderr=log
            )
        self.processes.append(process)

    def _answers(self) -> bool:
        with suppress(OSError):
            urllib.request.urlopen(f"{self.env['SITE']}/healthz").close()
        return " alive" in (told := self.type("manage.py queue_stats")) and "no workers" not in told

    def must(self, command: str) -> None:
        told = self.type(command)
        assert not told.endswith("]\n"), told

    def _log(self) -> str:
        return (self.folder.parent / "processes.log").read_text()


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
