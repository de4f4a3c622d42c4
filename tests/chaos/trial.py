"""Runs whose processes are killed, and the proof that they are exact all the same."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from django.db import connections

ROOT = Path(__file__).resolve().parent.parent.parent
_COLUMNS = ("rarity", "rarity_v2")


def prepare(manage: Callable[..., object], cards: int) -> None:
    """Make cards as the old backend has them, by KYNDO's own commands."""
    manage("load_rules", "--execute")
    manage("generate_cards", cards, "--without-rarity-v2")


class Trial:
    """Cards on one database, changed by real processes that may be killed."""

    def __init__(self, url: str, redis_url: str = "") -> None:
        self.url = url
        self.env = {"DATABASE_URL": url, **({"REDIS_URL": redis_url} if redis_url else {})}
        self.before: dict[str, tuple[Any, ...]] = {}

    def query(self, statement: str, *params: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement, params)
            return cursor.fetchall() if cursor.description else []

    def start(self, *args: object) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, ROOT / "manage.py", *map(str, args)],
            env={**os.environ, **self.env},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def manage(self, *args: object) -> str:
        process = self.start(*args)
        out, err = process.communicate(timeout=600)
        assert process.returncode == 0, out + err
        return out

    def copy_of(self, url: str, programs: Path) -> None:
        """Copy another database into this empty one: faster than its migrations."""
        dump = subprocess.run([programs / "pg_dump", url], stdout=subprocess.PIPE, check=True)
        restore = [programs / "psql", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null", self.url]
        subprocess.run(restore, input=dump.stdout, check=True)

    @contextmanager
    def as_default(self) -> Iterator[None]:
        """Let Django's models read this database within the block."""
        before, url = connections["default"], urlsplit(self.url)
        connections["default"] = before.copy()
        connections["default"].settings_dict |= {
            "HOST": url.hostname,
            "PORT": url.port,
            "USER": url.username,
            "PASSWORD": url.password,
            "NAME": url.path.strip("/"),
        }
        try:
            yield
        finally:
            connections["default"].close()
            connections["default"] = before

    def remember(self) -> None:
        self.before = self._cards()

    def newest(self) -> int:
        [(run,)] = self.query("SELECT coalesce(max(id), 0) FROM ops_run")
        return run

    def state(self, run: int) -> str:
        [(state,)] = self.query("SELECT state FROM ops_run WHERE id = %s", run)
        return state

    def describe_end(self, run: int) -> str:
        [(end,)] = self.query("SELECT concat_ws(': ', state, error) FROM ops_run WHERE id = %s", run)
        return f"run {run} is {end}"

    def batches(self, run: int) -> int:
        [(batches,)] = self.query("SELECT sum(batches) FROM ops_lane WHERE run_id = %s", run)
        return batches

    def await_new_run(self, last: int) -> int:
        while (run := self.newest()) == last:
            time.sleep(0.02)
        return run

    def await_work(self, run: int, process: "subprocess.Popen[str]") -> bool:
        """Wait until the process has committed a batch; return False if it ended before."""
        batches = self.batches(run)
        while process.poll() is None:
            if self.batches(run) > batches:
                return True
            time.sleep(0.01)
        return False

    def kill(self, process: "subprocess.Popen[str]") -> None:
        time.sleep(random.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.communicate()

    def kill_and_resume(
        self, kills: int, *args: object, ends: Collection[str] = ("succeeded",)
    ) -> tuple[int, int]:
        """Execute, kill and resume until the run has ended; return it, and how many kills met it at work.

        ``ends`` are the states in which it may end.
        """
        last, killed = self.newest(), 0
        process = self.start(*args, "--execute", "--batch-size", 20)
        run = self.await_new_run(last)
        while killed < kills and self.await_work(run, process):
            self.kill(process)
            killed += 1
            if self.state(run) in ends:  # killed after its last batch
                return run, killed
            process = self.start("runs", "resume", run)
        out, err = process.communicate(timeout=600)
        state = self.state(run)
        failed = self.query("SELECT object_id, error FROM ops_failure WHERE run_id = %s LIMIT 5", run)
        assert state in ends, (out, err, failed)
        assert process.returncode == int(state != "succeeded"), out + err
        assert "Traceback" not in err
        return run, killed

    def assert_exact(self, run: int) -> int:
        """Assert that the run changed each card that differs, once, as audited; return how many."""
        entries = self.query("SELECT object_id, changes FROM audit_logs WHERE run_id = %s", run)
        audited = dict(entries)
        assert len(audited) == len(entries), "an object was audited twice"
        changed = {key for key, current in self._cards().items() if current != self.before[key]}
        assert set(audited) == changed
        current = self._cards()
        for key, changes in audited.items():
            for column, before, after in zip(_COLUMNS, self.before[key], current[key], strict=True):
                expected = {"old": before, "new": after}
                assert changes.get(column, expected) == expected, (key, column)
        return len(audited)

    def _cards(self) -> dict[str, tuple[Any, ...]]:
        return {str(pk): rest for pk, *rest in self.query("SELECT id, rarity, rarity_v2 FROM cards")}
