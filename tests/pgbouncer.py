"""A real PgBouncer in transaction mode, in front of the PostgreSQL that the tests run on."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import psycopg
import pytest
from django.db import connection

from kyndo.localservices.server import LocalServer
from kyndo.localservices.state import ServerState, read_state
from tests.ops.running import override_connection

# What the pooler calls the database, beside its own name.
DATABASE_ALIAS = "by_another_name"
PGBOUNCER_PATH = shutil.which("pgbouncer", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))


def require_pgbouncer() -> str:
    """Skip where it is not installed, but never in CI, whose script installs it."""
    if PGBOUNCER_PATH is None:
        assert not os.environ.get("CI"), "pgbouncer is missing: .ci/run installs the package"
        pytest.skip("no pgbouncer: apt-get install pgbouncer")
    return PGBOUNCER_PATH


class PgBouncer(LocalServer):
    """In front of every database of the server, with ``size`` backends for each."""

    title, program, stop_signal = "PgBouncer", "pgbouncer", signal.SIGKILL

    def __init__(self, root: Path, size: int, extra: str = "") -> None:
        super().__init__(root, f"pgbouncer-{size}")
        self.size, self.extra = size, extra
        self.backend_settings: dict[str, Any] = connection.settings_dict.copy()
        where = f"host={self.backend_settings['HOST']} port={self.backend_settings['PORT']}"
        self.alias = f"{DATABASE_ALIAS} = {where} dbname={self.backend_settings['NAME']}\n"

    def init_data(self, password: str, lock: IO[str]) -> None:
        pass

    def command(self, state: ServerState) -> list[str | Path]:
        users, ini = self.base_dir / "users", self.base_dir / f"{self.process_marker}.ini"
        users.write_text(f'"{self.backend_settings["USER"]}" "{self.backend_settings["PASSWORD"]}"\n')
        ini.write_text(
            f"[databases]\n{self.alias}* = host={self.backend_settings['HOST']}"
            f" port={self.backend_settings['PORT']}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {state.port}\nunix_socket_dir =\n"
            f"auth_type = scram-sha-256\nauth_file = {users}\npool_mode = transaction\n"
            f"default_pool_size = {self.size}\nmax_client_conn = 200\n{self.extra}\n"
        )
        for path in (users, ini):
            self.account.chown(path)
        return [require_pgbouncer(), ini]

    def is_ready(self, state: ServerState) -> bool:
        try:
            self.client().close()
        except psycopg.OperationalError:
            return False
        return True

    def client(self, **asked: Any) -> "psycopg.Connection[tuple[Any, ...]]":
        """Somebody else who comes through the pooler, every statement a transaction of its own."""
        state = read_state(self.state_file)
        assert state
        given = {"dbname": connection.settings_dict["NAME"], **asked}
        return psycopg.connect(
            host="127.0.0.1",
            port=state.port,
            user=self.backend_settings["USER"],
            password=self.backend_settings["PASSWORD"],
            autocommit=True,
            connect_timeout=5,
            **given,
        )

    @contextmanager
    def connect_django(self, **settings: Any) -> Iterator[None]:
        """Let Django's connection lead through it."""
        state = read_state(self.state_file)
        assert state
        with override_connection(HOST="127.0.0.1", PORT=state.port, **settings):
            yield
