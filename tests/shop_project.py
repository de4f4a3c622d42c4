"""Another project with an app whose migrations a test writes, on a database of its own."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from tests.forked_python import PipedPython
from tests.other_project import run_in_project, start_in_project, write_project

FIRST = """
from django.db import migrations, models

class Migration(migrations.Migration):
    operations = [
        migrations.CreateModel("Owner", [("id", models.BigAutoField(primary_key=True))]),
        migrations.CreateModel("Item", [
            ("id", models.BigAutoField(primary_key=True)),
            ("name", models.CharField(max_length=20)),
            ("note", models.CharField(max_length=20, null=True)),
            ("score", models.IntegerField(db_default=0)),
        ]),
        migrations.RunSQL(
            "INSERT INTO shop_item (name, note) SELECT 'n' || g, 'x' FROM generate_series(1, 50) g", ""),
    ]
"""
_HEAD = """
from django.db import migrations, models
from django.db.models import Q

class Migration(migrations.Migration):
    dependencies = [("shop", "{before}")]
    atomic = {atomic}
    operations = [
        {operations}
    ]
"""
_FILES = {
    "shop/models.py": "",
    "shop/migrations/__init__.py": "",
    "shop/migrations/0001_first.py": FIRST,
}


@dataclass
class Shop:
    """The project's folder, and the database that it uses."""

    folder: Path
    server: dict[str, Any]
    database: str

    def migrate(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return run_in_project(self.folder, "manage.py", "migrate", *words)

    @contextmanager
    def start(self, *words: str) -> Iterator[PipedPython]:
        """Start a command; it is killed if the block fails, since it may wait for a lock of the test."""
        with start_in_project(self.folder, "manage.py", *words) as process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise

    def manage(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return run_in_project(self.folder, "manage.py", *words)

    def write_migration(self, name: str, text: str) -> None:
        (self.folder / "shop" / "migrations" / f"{name}.py").write_text(text)

    def add_migration(self, name: str, operations: str, *, atomic: bool = True) -> None:
        """Write a migration of these operations after the last one."""
        names = sorted(path.stem for path in (self.folder / "shop" / "migrations").glob("0*.py"))
        self.write_migration(name, _HEAD.format(before=names[-1], atomic=atomic, operations=operations))

    @contextmanager
    def session(self) -> Iterator["psycopg.Connection[Any]"]:
        """Another session, which is rolled back in the end."""
        with connect(self.server, self.database) as other:
            other.autocommit = False
            try:
                yield other
            finally:
                other.rollback()

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with connect(self.server, self.database) as other:
            cursor = other.execute(statement)  # type: ignore[call-overload]
            return list(cursor.fetchall()) if cursor.description else []

    def applied(self) -> list[str]:
        return [
            name
            for (name,) in self.query("SELECT name FROM django_migrations WHERE app = 'shop' ORDER BY id")
        ]

    def columns(self) -> set[str]:
        query = "SELECT attname FROM pg_attribute WHERE attrelid = 'shop_item'::regclass AND attnum > 0"
        return {name for (name,) in self.query(query)}


def suite_server() -> dict[str, Any]:
    """Return Django's settings of the suite's server."""
    url = urlsplit(os.environ["DATABASE_URL"])
    return {"HOST": url.hostname, "PORT": url.port, "USER": url.username, "PASSWORD": url.password}


def connect(server: Mapping[str, Any], database: str) -> "psycopg.Connection[Any]":
    settings = {name.lower(): value for name, value in server.items() if name != "OPTIONS"}
    return psycopg.connect(dbname=database, autocommit=True, **settings)


@contextmanager
def create_shop(
    folder: Path, server: dict[str, Any], template: str = "", name: str = "shop"
) -> Iterator[Shop]:
    """Write the project, whose database is a copy of the template, or a new one with the first migration."""
    database = f"{name}_{os.getpid()}"
    with connect(server, "postgres") as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")  # type: ignore[arg-type]
        admin.execute(f"CREATE DATABASE {database} TEMPLATE {template or 'template1'}")  # type: ignore[arg-type]
    shop = Shop(write_project(folder, {**server, "NAME": database}, _FILES), server, database)
    if not template:
        done = shop.migrate("--verbosity=0")
        assert done.returncode == 0, done.stderr
    yield shop
    with connect(server, "postgres") as admin:
        admin.execute(f"DROP DATABASE {database} WITH (FORCE)")  # type: ignore[arg-type]
