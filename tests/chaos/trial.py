"""A run under attack, and the proof that it was exact all the same."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from django.db import connections

ROOT = Path(__file__).resolve().parent.parent.parent
_COLUMNS = ("rarity", "rarity_v2")


def prepare(manage: Callable[..., object], cards: int) -> None:
    """Cards of the old backend, as the house's own commands make them."""
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

    def start(self, *words: object) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, ROOT / "manage.py", *map(str, words)],
            env={**os.environ, **self.env},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def manage(self, *words: object) -> str:
        process = self.start(*words)
        out, err = process.communicate(timeout=600)
        assert process.returncode == 0, out + err
        return out

    def copy_of(self, url: str, programs: Path) -> None:
        """Make the empty database a copy of another one: in a second, where the migrations take several."""
        dump = subprocess.run([programs / "pg_dump", url], stdout=subprocess.PIPE, check=True)
        restore = [programs / "psql", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null", self.url]
        subprocess.run(restore, input=dump.stdout, check=True)

    @contextmanager
    def as_default(self) -> Iterator[None]:
        """The models are those of this database."""
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

    def end_of(self, run: int) -> str:
        [told] = self.query("SELECT concat_ws(': ', state, error) FROM ops_run WHERE id = %s", run)
        return f"run {run} is {told[0]}"

    def batches(self, run: int) -> int:
        [(batches,)] = self.query("SELECT sum(batches) FROM ops_lane WHERE run_id = %s", run)
        return batches

    def await_new_run(self, last: int) -> int:
        while (run := self.newest()) == last:
            time.sleep(0.02)
        return run

    def await_work(self, run: int, process: "subprocess.Popen[str]") -> bool:
        """Wait until the process has committed a batch; False when it ended before."""
        seen = self.batches(run)
        while process.poll() is None:
            if self.batches(run) > seen:
                return True
            time.sleep(0.01)
        return False

    def kill(self, process: "subprocess.Popen[str]") -> None:
        time.sleep(random.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.communicate()

    def assert_exact(self, run: int) -> int:
        """Each card that differs was changed by the run, once, as its one audit row says; how many."""
        told = self.query("SELECT object_id, changes FROM audit_logs WHERE run_id = %s", run)
        audited = dict(told)
        assert len(audited) == len(told), "an object was audited twice"
        changed = {key for key, now in self._cards().items() if now != self.before[key]}
        assert set(audited) == changed
        now = self._cards()
        for key, changes in audited.items():
            for column, was, is_ in zip(_COLUMNS, self.before[key], now[key], strict=True):
                expected = {"old": was, "new": is_}
                assert changes.get(column, expected) == expected, (key, column)
        return len(audited)

    def _cards(self) -> dict[str, tuple[Any, ...]]:
        return {str(pk): rest for pk, *rest in self.query("SELECT id, rarity, rarity_v2 FROM cards")}
