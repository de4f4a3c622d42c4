"""A scratch database for migrations to be tried in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ops.backups.errors import translate_errors
from ops.backups.scratch import drop_orphaned_databases, temporary_database
from ops.backups.server import Server


@contextmanager
def scratch_database(purpose: str) -> Iterator[str]:
    """The name of an empty database like the live one, dropped after the block. Raises Failed."""
    server = Server.default()
    with translate_errors():
        drop_orphaned_databases(server)
        with temporary_database(server, purpose) as name:
            yield name
