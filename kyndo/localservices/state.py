"""What a local server has to remember between two commands: its port, its password and its token."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class ServerState:
    """``token`` tells this server from one of the same path in another root, whose processes we see too."""

    port: int
    password: str
    token: str = ""


def read_state(path: Path) -> ServerState | None:
    """Return what was remembered, or None where nothing readable is there."""
    try:
        return ServerState(**json.loads(path.read_text()))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None


def write_state(path: Path, state: ServerState) -> None:
    """Replace the file whole, so that a kill at any instant leaves the old one or the new one."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(state), file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def postgres_url(state: ServerState | None) -> str:
    """A URL for Django; port 0 stands for a server that never started, so that settings load without one."""
    state = state or ServerState(0, "")
    return f"postgres://kyndo:{state.password}@127.0.0.1:{state.port}/kyndo"


def redis_url(state: ServerState | None) -> str:
    """As `postgres_url`, for Valkey."""
    state = state or ServerState(0, "")
    return f"redis://:{state.password}@127.0.0.1:{state.port}/0"
