"""A standby, made by pg_basebackup: a real server that follows another one."""

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
    """A copy of its primary, which follows it."""

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
        told = {"PGPASSWORD": state.password}
        given = ["-h", "127.0.0.1", "-p", str(state.port), "-U", "kyndo", "-D", self.data, "-R", "-c", "fast"]
        popen = self.account.popen_kwargs
        popen["env"] = {**popen["env"], **told}
        subprocess.run([self.bin_dir / "pg_basebackup", *given], check=True, capture_output=True, **popen)

    def finish_start(self, state: ServerState) -> None:
        """It has what its primary has, and takes nothing else."""

    def promote(self) -> None:
        """Take over: it is a primary when this returns."""
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
    """Let Django's connection lead to whichever of them answers first."""
    states = [_read_server_state(server) for server in servers]
    hosts, ports = ",".join(["127.0.0.1"] * len(states)), ",".join(str(state.port) for state in states)
    with override_connection(
        HOST=hosts, PORT=ports, USER="kyndo", PASSWORD=states[0].password, NAME=DATABASE_NAME
    ):
        yield
