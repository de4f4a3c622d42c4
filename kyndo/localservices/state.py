"""The state of a local server that is kept between commands: port, password and token."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class ServerState:
    """``token`` distinguishes the server from one of the same path in another container or root."""

    port: int
    password: str
    token: str = ""


def read_state(path: Path) -> ServerState | None:
    """Return the stored state, or None if there is none that can be read."""
    try:
        return ServerState(**json.loads(path.read_text()))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None


def write_state(path: Path, state: ServerState) -> None:
    """Replace the file atomically."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(state), file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def postgres_url(state: ServerState | None) -> str:
    """Return the URL for Django; port 0 if the server never started, so that the settings load without it."""
    state = state or ServerState(0, "")
    return f"postgres://kyndo:{state.password}@127.0.0.1:{state.port}/kyndo"


def redis_url(state: ServerState | None) -> str:
    """As `postgres_url`, for Valkey."""
    state = state or ServerState(0, "")
    return f"redis://:{state.password}@127.0.0.1:{state.port}/0"
