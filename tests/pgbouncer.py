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

# A second name of the database in the pooler.
DATABASE_ALIAS = "by_another_name"
PGBOUNCER_PATH = shutil.which("pgbouncer", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))


def require_pgbouncer() -> str:
    """Skip the test if PgBouncer is not installed; fail in CI, whose script installs it."""
    if PGBOUNCER_PATH is None:
        assert not os.environ.get("CI"), "pgbouncer is missing: .ci/run installs the package"
        pytest.skip("no pgbouncer: apt-get install pgbouncer")
    return PGBOUNCER_PATH


class PgBouncer(LocalServer):
    """A pooler for every database of the server, with ``size`` server connections for each."""

    title, program, stop_signal = "PgBouncer", "pgbouncer", signal.SIGKILL

    def __init__(self, root: Path, size: int, extra: str = "") -> None:
        super().__init__(root, f"pgbouncer-{size}")
        self.size, self.extra = size, extra
        self.backend_settings: dict[str, Any] = connection.settings_dict.copy()
        self.address = f"host={self.backend_settings['HOST']} port={self.backend_settings['PORT']}"
        self.alias = f"{DATABASE_ALIAS} = {self.address} dbname={self.backend_settings['NAME']}\n"

    def init_data(self, password: str, lock: IO[str]) -> None:
        pass

    def command(self, state: ServerState) -> list[str | Path]:
        users, ini = self.base_dir / "users", self.base_dir / f"{self.process_marker}.ini"
        users.write_text(f'"{self.backend_settings["USER"]}" "{self.backend_settings["PASSWORD"]}"\n')
        ini.write_text(
            f"[databases]\n{self.alias}* = {self.address}\n"
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

    def client(self, **options: Any) -> "psycopg.Connection[tuple[Any, ...]]":
        """Return another client's connection through the pooler, in autocommit mode."""
        state = read_state(self.state_file)
        assert state
        return psycopg.connect(
            host="127.0.0.1",
            port=state.port,
            user=self.backend_settings["USER"],
            password=self.backend_settings["PASSWORD"],
            autocommit=True,
            connect_timeout=5,
            **{"dbname": connection.settings_dict["NAME"], **options},
        )

    @contextmanager
    def connect_django(self, **settings: Any) -> Iterator[None]:
        """Connect Django through the pooler."""
        state = read_state(self.state_file)
        assert state
        with override_connection(HOST="127.0.0.1", PORT=state.port, **settings):
            yield
