"""A real standby server, created by pg_basebackup."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psycopg

from kyndo.localservices.postgres import LocalPostgres
from kyndo.localservices.state import ServerState, read_state, write_state
from tests.ops.running import override_connection

DATABASE_NAME = "kyndo"


class Standby(LocalPostgres):
    """A streaming standby of ``primary``."""

    def __init__(self, root: Path, primary: LocalPostgres) -> None:
        settings = {
            "primary_conninfo": primary._dsn(_read_server_state(primary)),
            "wal_retrieve_retry_interval": "100ms",
        }
        super().__init__(root, durable=False, settings=settings)
        self.primary = primary
        self.root_dir.mkdir(parents=True, exist_ok=True)
        write_state(self.state_file, ServerState(0, _read_server_state(primary).password))

    def init_data(self, password: str, lock: IO[str]) -> None:
        if self.data.exists():
            return
        self.data.mkdir(mode=0o700)
        self.account.chown(self.data)
        state = _read_server_state(self.primary)
        arguments = [
            "-h",
            "127.0.0.1",
            "-p",
            str(state.port),
            "-U",
            "kyndo",
            "-D",
            self.data,
            "-R",
            "-c",
            "fast",
        ]
        popen = self.account.popen_kwargs
        popen["env"] = {**popen["env"], "PGPASSWORD": state.password}
        subprocess.run([self.bin_dir / "pg_basebackup", *arguments], check=True, capture_output=True, **popen)

    def finish_start(self, state: ServerState) -> None:
        """Do nothing: a standby is read-only, and has the primary's databases."""

    def promote(self) -> None:
        """Promote the standby; it is a primary when this returns."""
        with psycopg.connect(
            self._dsn(_read_server_state(self)), dbname="postgres", autocommit=True
        ) as connection:
            connection.execute("SELECT pg_promote()")


def _read_server_state(server: LocalPostgres) -> ServerState:
    state = read_state(server.state_file)
    assert state
    return state


@contextmanager
def connect_django_to_servers(*servers: LocalPostgres) -> Iterator[None]:
    """Connect Django to the first of the servers that answers."""
    states = [_read_server_state(server) for server in servers]
    hosts, ports = ",".join(["127.0.0.1"] * len(states)), ",".join(str(state.port) for state in states)
    with override_connection(
        HOST=hosts, PORT=ports, USER="kyndo", PASSWORD=states[0].password, NAME=DATABASE_NAME
    ):
        yield
