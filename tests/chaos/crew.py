"""Workers that a keeper replaces when they die, as systemd or docker would, and people who go on working."""

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
    """So many workers; a thread starts another for each that ends, until they are sent home."""

    def __init__(self, count: int, env: Mapping[str, str], log: Path, prefix: tuple[str, ...] = ()) -> None:
        self.env = {**os.environ, **env}
        self.log, self.prefix = log, prefix
        self.home = threading.Event()
        self.started = 0
        self.workers = [self._start() for _ in range(count)]
        self.keeper = threading.Thread(target=self._keep, daemon=True)
        self.keeper.start()

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

    def _keep(self) -> None:
        while not self.home.wait(0.1):
            for number, worker in enumerate(self.workers):
                if worker.poll() is not None and not self.home.is_set():
                    self.workers[number] = self._start()

    def kill(self, parent: bool, horse: bool) -> str:
        """SIGKILL a worker, its work-horse, or both, taken by lot; what was done."""
        worker = psutil.Process(random.choice(self.workers).pid)
        with suppress(psutil.NoSuchProcess):
            horses = worker.children()
            if not parent and not horses:
                return ""
            for process in [*([worker] if parent else []), *(horses if horse else [])]:
                process.kill()
        return "SIGKILL of " + " and ".join(["worker"] * parent + ["horse"] * horse)

    def tell_to_stop(self) -> str:
        random.choice(self.workers).send_signal(signal.SIGTERM)
        return "SIGTERM of worker"

    def send_home(self) -> None:
        """Killed at once, and the horses of those killed before with them."""
        self.home.set()
        self.keeper.join()
        mine = self.env["DATABASE_URL"]
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if "rqworker" in process.cmdline() and process.environ().get("DATABASE_URL") == mine:
                    process.kill()
        for worker in self.workers:
            worker.wait()


class People:
    """Players who retitle cards, one by one, and now and then hold one for a while.

    ``titles`` are those that a COMMIT acknowledged; a card whose COMMIT had no answer is not in it.
    """

    def __init__(self, url: str, count: int = 2) -> None:
        self.url = url
        self.titles: dict[int, str] = {}
        self.home = threading.Event()
        with psycopg.connect(url) as connection:
            keys = [key for (key,) in connection.execute("SELECT id FROM cards")]
        self.threads = [
            threading.Thread(target=self._work, args=(keys[number::count],), daemon=True)
            for number in range(count)
        ]

    def _work(self, keys: list[int]) -> None:
        while not self.home.is_set():
            with suppress(psycopg.Error), psycopg.connect(self.url, connect_timeout=2) as connection:
                while not self.home.is_set():
                    self._retitle(connection, random.choice(keys))
            time.sleep(0.05)

    def _retitle(self, connection: "psycopg.Connection[tuple[object, ...]]", key: int) -> None:
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
            self.home.set()
            for thread in self.threads:
                thread.join()
