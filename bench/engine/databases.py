"""The databases of a benchmark: templates that are built once, and a copy for each measurement."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from bench.engine.reference import REFERENCE_SCHEMA_SQL

ROOT = Path(__file__).resolve().parents[2]
UNREACHABLE_REDIS_URL = "redis://127.0.0.1:1/0"
# Independent of the shell: with DEBUG on Django keeps every query, and a Redis of the shell is not ours.
_ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "kyndo.settings",
    "DEBUG": "off",
    "SECRET_KEY": "benchmark",
    "ADMIN_KEY": "benchmark",
    "ALLOWED_HOSTS": "localhost",
    "BACKUP_MAX_AGE_HOURS": "0",
}


def build_environment(url: str, redis: str = UNREACHABLE_REDIS_URL) -> dict[str, str]:
    """Return the environment of a process that uses the database."""
    return {**os.environ, **_ENVIRONMENT, "DATABASE_URL": url, "REDIS_URL": redis}


class BenchmarkDatabases:
    """Databases on one server, whose names start with that of the database in ``url``."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.prefix = urlsplit(url).path.strip("/")
        self._empty: list[str] = []

    def build(self, rows: int, schemas: set[str]) -> None:
        """Create the template of each schema, with ``rows`` cards without rarity_v2."""
        self._create("kyndo")
        self._manage("migrate", "--verbosity", "0")
        self._manage("generate_cards", str(rows), "--without-rarity-v2")
        if "reference" in schemas:
            self._create("reference", template="kyndo")
            with psycopg.connect(self.database_url("reference")) as connection:
                connection.execute(REFERENCE_SCHEMA_SQL)
        for schema in sorted(schemas | {"kyndo"}):
            with psycopg.connect(self.database_url(schema), autocommit=True) as connection:
                connection.execute("VACUUM (FREEZE, ANALYZE)")

    def create_empty(self, name: str) -> str:
        """Create a database without tables, which ``close`` drops, and return its URL."""
        self._create(name)
        self._empty.append(name)
        return self.database_url(name)

    @contextmanager
    def temporary_copy(self, schema: str) -> Iterator[str]:
        """Yield the URL of a fresh copy of a template, with the same files for every measurement."""
        self._create("trial", template=schema)
        try:
            yield self.database_url("trial")
        finally:
            self._drop("trial")

    def close(self) -> None:
        """Drop all the databases."""
        for name in ("trial", "reference", "kyndo", *self._empty):
            self._drop(name)

    def database_url(self, name: str) -> str:
        """Return the URL of a template or of the copy ("trial")."""
        return urlsplit(self.url)._replace(path=f"/{self._database_name(name)}").geturl()

    @cached_property
    def _is_durable(self) -> bool:
        with psycopg.connect(self.url) as connection:
            return connection.execute("SELECT current_setting('fsync')").fetchone() == ("on",)

    def _database_name(self, name: str) -> str:
        return f"{self.prefix}_bench_{name}"

    def _create(self, name: str, template: str | None = None) -> None:
        self._drop(name)
        source = self._database_name(template) if template else "template0"
        self._execute("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", self._database_name(name), source)
        self._execute("CHECKPOINT")
        if self._is_durable:
            os.sync()  # otherwise the first commits wait while the kernel writes the copy

    def _drop(self, name: str) -> None:
        self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", self._database_name(name))

    def _execute(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def _manage(self, *args: str) -> None:
        result = subprocess.run(
            [sys.executable, ROOT / "manage.py", *args],
            env=build_environment(self.database_url("kyndo")),
            cwd=ROOT,
            check=False,
            stdout=subprocess.DEVNULL,
        )
        if result.returncode:
            raise SystemExit(f"manage.py {args[0]} failed (exit {result.returncode}); see the output above")
