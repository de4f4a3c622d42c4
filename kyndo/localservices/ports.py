"""TCP ports of 127.0.0.1."""

import socket
from contextlib import suppress

from kyndo.localservices.errors import LocalServiceError


def find_free_port(preferred: int) -> int:
    """Return ``preferred`` if it is free, so that URLs stay valid over a restart, else any free port."""
    for port in (preferred, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise LocalServiceError("No TCP port is free on 127.0.0.1.")


def is_port_in_use(port: int) -> bool:
    """Return whether a process listens on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
