"""A scratch database for migrations to be tried in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ops.backups.errors import told
from ops.backups.scratch import clear_left, scratch
from ops.backups.server import Server


@contextmanager
def scratch_database(purpose: str) -> Iterator[str]:
    """The name of an empty database like the live one, dropped after the block. Raises Failed."""
    server = Server.default()
    with told():
        clear_left(server)
        with scratch(server, purpose) as name:
            yield name
