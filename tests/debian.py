"""Debian's PostgreSQL 15, which has the contrib modules that the wheel's lacks."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from kyndo.localservices.postgres import LocalPostgres
from kyndo.localservices.state import read_state
from tests.ops.running import override_connection

BIN_DIR = Path("/usr/lib/postgresql/15/bin")


class DebianPostgres(LocalPostgres):
    """A separate cluster that runs Debian's programs."""

    bin_dir = BIN_DIR

    def __init__(self, root: Path, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(root, 15, durable=False, settings=settings)


def require_debian_postgres() -> None:
    """Skip the test if the package is not installed; fail in CI, whose script installs it."""
    if not (BIN_DIR / "postgres").exists():
        assert not os.environ.get("CI"), f"{BIN_DIR} is missing: .ci/run installs the package postgresql-15"
        pytest.skip(f"no Debian PostgreSQL 15 in {BIN_DIR}: apt-get install postgresql-15")


@contextmanager
def connect_django_to_server(server: LocalPostgres) -> Iterator[None]:
    """Connect Django to the server."""
    state = read_state(server.state_file)
    assert state
    with override_connection(
        HOST="127.0.0.1", PORT=state.port, USER="kyndo", PASSWORD=state.password, NAME="kyndo"
    ):
        yield
