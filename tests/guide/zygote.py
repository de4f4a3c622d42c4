"""Start Python programs quickly: a process that has imported the libraries forks for each command.

Each command is a process of its own, and imports the current code of KYNDO itself. This saves most of the
time of a hundred starts of Python and Django.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import traceback
from pathlib import Path

# What the commands import, without KYNDO's own modules.
_LIBRARIES = [
    "concurrent_log_handler",
    "croniter",
    "django.contrib.admin.options",
    "django.contrib.postgres.fields",
    "django.contrib.postgres.operations",
    "django.core.mail",
    "django.core.management.commands.makemigrations",
    "django.core.management.commands.migrate",
    "django.db.backends.postgresql.base",
    "django.db.migrations.executor",
    "django.forms",
    "django.views.debug",
    "django.views.generic",
    "environ",
    "packaging.version",
    "pgtrigger.compiler",
    "prometheus_client",
    "psycopg",
    "redis",
    "rich.console",
    "rich.live",
    "rich.progress",
    "rq",
    "simplejson",
]

# A shell script, since the first line of a script cannot hold a Python whose path has a space or is long.
SHIM = """#!/bin/sh
exec {python} -IS {client} "$@"
"""
CLIENT = """
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    request = json.dumps([{program!r}, sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [len(request).to_bytes(4, "big")], [0, 1, 2])
    server.sendall(request)
    status = server.recv(1)
sys.exit(status[0] if status else 1)
"""


def serve(address: str) -> None:
    for name in _LIBRARIES:
        importlib.import_module(name)
    gc.freeze()  # so that the collector of a child does not copy these pages
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        while True:
            connection, _ = server.accept()
            if os.fork() == 0:
                _handle(connection)
            connection.close()


def _handle(connection: socket.socket) -> None:
    """Run the command in a child and send back its exit status; never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    head, fds, _, _ = socket.recv_fds(connection, 4, 3)
    request = b""
    while len(request) < int.from_bytes(head, "big"):
        request += connection.recv(1 << 16)
    child = os.fork()
    if child == 0:
        connection.close()
        for number, fd in enumerate(fds):
            os.dup2(fd, number)
            os.close(fd)
        os._exit(_run(*json.loads(request)))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    connection.sendall(bytes([status % 256]))
    os._exit(0)


def _run(program: str, args: list[str], folder: str, env: dict[str, str]) -> int:
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    return run_program(program, args)


def run_program(program: str, args: list[str]) -> int:
    """Run a program of Python in this process, which is not used any more then; return its exit status."""
    sys.argv = [program, *args]
    sys.path.insert(0, str(Path(program).parent))
    try:
        runpy.run_path(program, run_name="__main__")
    except SystemExit as exc:
        if exc.code is None or isinstance(exc.code, int):
            return exc.code or 0
        print(exc.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    serve(sys.argv[1])
