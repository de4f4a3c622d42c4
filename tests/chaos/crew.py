"""Workers that are restarted when they die, as by systemd or docker, and players who edit cards."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg

ROOT = Path(__file__).resolve().parent.parent.parent


class Crew:
    """So many workers; a thread replaces each that ends, until all are stopped."""

    def __init__(self, count: int, env: Mapping[str, str], log: Path, prefix: tuple[str, ...] = ()) -> None:
        self.env = {**os.environ, **env}
        self.log, self.prefix = log, prefix
        self.stopped = threading.Event()
        self.started = 0
        self.workers = [self._start() for _ in range(count)]
        self.supervisor = threading.Thread(target=self._supervise, daemon=True)
        self.supervisor.start()

    def _start(self) -> "subprocess.Popen[bytes]":
        self.started += 1
        with self.log.open("a") as log:
            return subprocess.Popen(
                [*self.prefix, sys.executable, ROOT / "manage.py", "rqworker", "default"],
                env=self.env,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _supervise(self) -> None:
        while not self.stopped.wait(0.1):
            for number, worker in enumerate(self.workers):
                if worker.poll() is not None and not self.stopped.is_set():
                    self.workers[number] = self._start()

    def kill(self, parent: bool, horse: bool) -> str:
        """Kill a random worker, its work-horse, or both; return what was done, "" if nothing."""
        worker = psutil.Process(random.choice(self.workers).pid)
        with suppress(psutil.NoSuchProcess):
            horses = worker.children()
            if not parent and not horses:
                return ""
            for process in [*([worker] if parent else []), *(horses if horse else [])]:
                process.kill()
        return "SIGKILL of " + " and ".join(["worker"] * parent + ["horse"] * horse)

    def terminate(self) -> str:
        """Send SIGTERM to a random worker."""
        random.choice(self.workers).send_signal(signal.SIGTERM)
        return "SIGTERM of worker"

    def stop(self) -> None:
        """Kill all workers, and the work-horses of those that were killed before."""
        self.stopped.set()
        self.supervisor.join()
        database_url = self.env["DATABASE_URL"]
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if "rqworker" in process.cmdline() and process.environ().get("DATABASE_URL") == database_url:
                    process.kill()
        for worker in self.workers:
            worker.wait()


class Players:
    """Players who change titles of single cards, and sometimes keep one locked for half a second.

    ``titles`` are those whose COMMIT succeeded, by key; a card whose COMMIT was not confirmed is not in it.
    """

    def __init__(self, url: str, count: int = 2) -> None:
        self.url = url
        self.titles: dict[int, str] = {}
        self.stopped = threading.Event()
        with psycopg.connect(url) as connection:
            keys = [key for (key,) in connection.execute("SELECT id FROM cards")]
        self.threads = [
            threading.Thread(target=self._work, args=(keys[number::count],), daemon=True)
            for number in range(count)
        ]

    def _work(self, keys: list[int]) -> None:
        while not self.stopped.is_set():
            with suppress(psycopg.Error), psycopg.connect(self.url, connect_timeout=2) as connection:
                while not self.stopped.is_set():
                    self._change_title(connection, random.choice(keys))
            time.sleep(0.05)

    def _change_title(self, connection: "psycopg.Connection[tuple[object, ...]]", key: int) -> None:
        title = f"card {random.random()}"
        self.titles.pop(key, None)
        with connection.transaction():
            connection.execute("UPDATE cards SET title = %s WHERE id = %s", (title, key))
            time.sleep(random.choice([0.0] * 20 + [0.5]))
        self.titles[key] = title
        time.sleep(0.005)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        for thread in self.threads:
            thread.start()
        try:
            yield
        finally:
            self.stopped.set()
            for thread in self.threads:
                thread.join()
