"""Run by a test, in the folder of another project: migrate, killed before each statement, and once more.

Usage: python -m tests.chaos.migration_kills DATABASE EVERY [WORDS FOR MIGRATE ...]. It copies DATABASE for
every try, kills at every EVERY-th statement, and writes a JSON object: the state after an undisturbed run,
the states after the kills that differ from it, and the number of kills.
"""

import json
import os
import signal
import sys
from contextlib import suppress
from itertools import count
from typing import Any

import django
import psycopg

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.db.models.signals import post_migrate  # noqa: E402

from ops.schema.introspection import introspect_schema  # noqa: E402

_READS = ("SELECT", "SHOW", "SET", "RESET")
_SERVER = connection.settings_dict


def admin(statement: str) -> None:
    parameters = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD"}
    dsn = {name: _SERVER[key] for name, key in parameters.items()}
    with psycopg.connect(dbname="postgres", autocommit=True, **dsn) as other:
        other.execute(statement)  # type: ignore[arg-type]


def kill_at(number: int) -> Any:
    """Return a wrapper that kills this process before the statement of that number, as kill -9 does."""
    numbers = count(1)

    def wrap(execute: Any, sql: Any, *rest: Any) -> Any:
        if not str(sql).lstrip().startswith(_READS) and next(numbers) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return execute(sql, *rest)

    return wrap


def in_child(work: Any) -> tuple[int, str]:
    """Call ``work`` in a process of its own; return how it ended, and the text that it returned."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(read)
        status = 1
        with suppress(BaseException):
            try:
                os.write(write, work().encode())
                status = 0
            except BaseException as exc:
                os.write(write, f"{type(exc).__name__}: {exc}".encode())
        os._exit(status)
    os.close(write)
    with open(read) as pipe:
        text = pipe.read()
    return os.waitpid(pid, 0)[1], text


def migrate(words: list[str], number: int = 0) -> str:
    if number:
        with connection.execute_wrapper(kill_at(number)):
            call_command("migrate", *words, verbosity=0)
    else:
        call_command("migrate", *words, verbosity=0)
    return ""


def read_state() -> str:
    schema = {str(key): text for key, text in introspect_schema("default").items()}
    with connection.cursor() as cursor:
        cursor.execute("SELECT app, name FROM django_migrations WHERE app = 'shop' ORDER BY 1, 2")
        applied = cursor.fetchall()
        cursor.execute("SELECT name, score FROM shop_item ORDER BY name LIMIT 5")
        return json.dumps([schema, applied, cursor.fetchall()], sort_keys=True)


def attempt(template: str, words: list[str], number: int) -> tuple[bool, str]:
    """Return whether it was killed, and the state after it has run again."""
    name = f"{template}_try"
    admin(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    admin(f"CREATE DATABASE {name} TEMPLATE {template}")
    _SERVER["NAME"] = name
    ended, error = in_child(lambda: migrate(words, number))
    was_killed = os.WIFSIGNALED(ended)
    if was_killed:
        ended, error = in_child(lambda: migrate(words))
    state = in_child(read_state)[1]
    admin(f"DROP DATABASE {name} WITH (FORCE)")
    return was_killed, error if ended else state


def main(template: str, every: int, words: list[str]) -> None:
    post_migrate.receivers.clear()  # which would be most of the statements
    _, expected = attempt(template, words, 0)
    different, kills = [], 0
    for number in count(1, every):
        was_killed, state = attempt(template, words, number)
        if state != expected:
            different.append([number, state])
        if not was_killed:
            break
        kills += 1
    print(json.dumps({"expected": expected, "different": different, "kills": kills}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
