"""A scratch database that the ORM and the migrations can speak to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, connections

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


@contextmanager
def connected(name: str) -> Iterator[str]:
    """An alias for another database of the same server, for this thread."""
    other = connection.copy(alias := f"on_{name}")
    other.settings_dict["NAME"] = name
    connections[alias] = other
    try:
        yield alias
    finally:
        other.close()
        del connections[alias]
