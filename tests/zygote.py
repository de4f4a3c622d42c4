"""Start Python programs quickly: a process that has imported the libraries forks for each program.

Each program is a process of its own, and imports the current code of KYNDO itself. This saves most of the
time of hundreds of starts of Python and Django. `tests.forked_python` asks for them, and a shell by CLIENT.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
from pathlib import Path
from types import ModuleType

# What the programs import, without KYNDO's own modules.
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
    "dotenv",
    "environ",
    "packaging.version",
    "pgtrigger.compiler",
    "prometheus_client",
    "psycopg",
    "redis",
    "rich.console",
    "rich.live",
    "rich.progress",
    "rq.cron",
    "rq.decorators",
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
    words, umask = [{program!r}, *sys.argv[1:]], os.umask(0)
    request = json.dumps([words, os.getcwd(), dict(os.environ), umask]).encode()
    socket.send_fds(server, [len(request).to_bytes(4, "big")], [0, 1, 2])
    server.sendall(request)
    pid, status = server.recv(4), server.recv(4)
sys.exit(int.from_bytes(status, "big") % 256 if status else 1)
"""


def import_libraries() -> None:
    """Import what the children of this process need."""
    for name in _LIBRARIES:
        importlib.import_module(name)
    gc.freeze()  # so that the collector of a child does not copy these pages


def serve(server: socket.socket) -> None:
    """Fork for each request until the end of standard input, which is that of the process that asks."""
    import_libraries()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all
    while server in select.select([server, sys.stdin], [], [])[0]:
        connection, _ = server.accept()
        if os.fork() == 0:
            server.close()
            _handle(connection)
        connection.close()


def _handle(connection: socket.socket) -> None:
    """Run the program in a child; send back its id when it begins, then its exit status. Never returns."""
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
    connection.sendall(child.to_bytes(4, "big"))
    for fd in fds:  # else a reader of the program's output would not see its end
        os.close(fd)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    connection.sendall(status.to_bytes(4, "big", signed=True))
    os._exit(0)


def _run(words: list[str], folder: str, env: dict[str, str], umask: int) -> int:
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    os.umask(umask)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.path[:0] = [path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.dont_write_bytecode = bool(env.get("PYTHONDONTWRITEBYTECODE"))
    return run_program(words)


def run_program(words: list[str]) -> int:
    """Run what these words after ``python`` run, in this process, which is not used any more then.

    Return the exit status.
    """
    sys.orig_argv = [sys.executable, *words]
    try:
        _execute(words)
    except SystemExit as exc:
        if exc.code is None or isinstance(exc.code, int):
            return exc.code or 0
        print(exc.code, file=sys.stderr)
        return 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    finally:  # as at the end of the interpreter
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def _execute(words: list[str]) -> None:
    if words[0] == "-c":
        sys.argv = ["-c", *words[2:]]
        sys.path.insert(0, "")
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(words[1], "<string>", "exec"), vars(main))
    elif words[0] == "-m":
        sys.argv = words[1:]
        sys.path.insert(0, str(Path.cwd()))
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        sys.path.insert(0, str(Path(words[0]).parent.absolute()))
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    del sys.path[0]  # the folder of this file, which a program does not see
    with socket.socket(fileno=int(sys.argv[1])) as listening:
        serve(listening)
