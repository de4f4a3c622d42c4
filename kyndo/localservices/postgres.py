"""PostgreSQL from the wheel, over TCP with SCRAM authentication."""

import os
import shutil
import signal
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import IO

import psycopg

from kyndo.localservices.binaries import ensure_postgres_bin
from kyndo.localservices.server import LocalServer
from kyndo.localservices.state import ServerState, postgres_url

# The builtin provider sorts the same on every machine; it exists from PostgreSQL 17 on.
_LOCALE_FLAGS = {
    15: ["--locale=C.UTF-8"],
    16: ["--locale=C.UTF-8"],
    18: ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"],
}


class LocalPostgres(LocalServer):
    """A local PostgreSQL, with the superuser and database ``kyndo``.

    ``settings`` are server settings, as ``{"wal_level": "logical"}``. ``durable=False``, for tests, turns off
    fsync and the other settings that matter only after a crash of the machine.
    """

    program = "postgres"
    stop_signal = signal.SIGINT  # fast: open transactions are rolled back

    def __init__(
        self,
        root: Path,
        version: int = 18,
        *,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(root, f"postgres{version}")
        self.title = f"PostgreSQL {version}"
        self.version = version
        self.durable = durable
        self.settings = dict(settings or {})

    @cached_property
    def bin_dir(self) -> Path:
        return ensure_postgres_bin(self.version, self.account, self.root_dir)

    def init_data(self, password: str, lock: IO[str]) -> None:
        if (self.data / "PG_VERSION").exists():
            # Left by a killed server: another process may have its pid, and PostgreSQL would refuse to start.
            (self.data / "postmaster.pid").unlink(missing_ok=True)
            return
        new, secret = self.base_dir / "data.new", self.base_dir / "password"
        for leftover in (new, self.data):
            shutil.rmtree(leftover, ignore_errors=True)
        new.mkdir(mode=0o700)
        self.account.chown(new)
        try:
            self._write_secret(secret, password)
            self._initdb(new, secret, lock)
        finally:
            secret.unlink(missing_ok=True)
        new.rename(self.data)

    def _write_secret(self, path: Path, password: str) -> None:
        path.unlink(missing_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(password)
        self.account.chown(path)

    def _initdb(self, data: Path, secret: Path, lock: IO[str]) -> None:
        auth = ["--username=kyndo", f"--pwfile={secret}", "--auth=scram-sha-256"]
        durability = [] if self.durable else ["--no-sync"]
        self.account.run(
            [
                self.bin_dir / "initdb",
                "-D",
                data,
                "--encoding=UTF8",
                *_LOCALE_FLAGS[self.version],
                *auth,
                *durability,
            ],
            lock,
        )

    def command(self, state: ServerState) -> list[str | Path]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",  # a socket's path is limited to 107 bytes
            "cluster_name": self.process_marker,  # appears in the process title of every child
            "shared_buffers": "256MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
            **(
                {}
                if self.durable
                else dict.fromkeys(["fsync", "synchronous_commit", "full_page_writes"], "off")
            ),
            **self.settings,
        }
        flags = [flag for name, value in settings.items() for flag in ("-c", f"{name}={value}")]
        return [self.bin_dir / "postgres", "-D", self.data, "-p", str(state.port), *flags]

    def is_ready(self, state: ServerState) -> bool:
        try:
            psycopg.connect(self._dsn(state), dbname="postgres", connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def finish_start(self, state: ServerState) -> None:
        with psycopg.connect(self._dsn(state), dbname="postgres", autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'kyndo'").fetchone():
                connection.execute("CREATE DATABASE kyndo")

    def format_url(self, state: ServerState | None) -> str:
        return postgres_url(state)

    def _dsn(self, state: ServerState) -> str:
        return f"host=127.0.0.1 port={state.port} user=kyndo password={state.password}"
