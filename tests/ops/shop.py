"""A project in three generations of its code, which take it through a column change.

``old`` knows only the old column, ``both`` knows both, and ``new`` only what is left after retire. Each is a
folder with models of its own; their migrations and their database are the same. A removal has no ``both``.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from tests.forked_python import PipedPython
from tests.ops.running import wait_until
from tests.other_project import start_in_project, write_project

# Commands, as one text.
PLAN = "column_change rarity_v2 plan"
NEXT, BACK = (f"column_change rarity_v2 {verb} --execute" for verb in ("next", "back"))
_MODELS = """
from django.db import models

class Item(models.Model):
    owner = models.TextField()
    {fields}

    class Meta:
        ordering = ["{first}"]
        indexes = [{indexes}]
"""
_OLD = 'rarity = models.CharField(max_length=32, db_default="common")'
_WIDE = 'rarity = models.CharField(max_length=64, db_default="common")'
_NEW = 'rarity_v2 = models.CharField(max_length=64, db_default="common")'
_OPERATIONS = """
from datetime import timedelta
from ops.column_changes import ColumnChange, register_change
from shop.models import Item

@register_change
class RarityV2(ColumnChange):
    name = "rarity_v2"
    model = Item
    old = "rarity"
    new = "rarity_v2"
    swap = {swap}
    retire_after = drop_after = timedelta()
    no_wait_reason = "A test does not wait."
"""
_FEATURED = "featured = models.BooleanField(default=False)"
_REMOVAL = """
from datetime import timedelta
from ops.column_changes import ColumnRemoval, register_change
from shop.models import Item

@register_change
class RemoveFeatured(ColumnRemoval):
    name = "remove_featured"
    model = Item
    old = "featured"
    retire_after = drop_after = timedelta()
    no_wait_reason = "A test does not wait."
"""
_ROWS = "from shop.models import Item; [Item.objects.create(owner='nobody') for _ in range(50)]"
# Runs each of its arguments as a command of manage.py.
_RUN = """
import os, shlex, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
import django
from django.core.management import call_command
django.setup()
for command in sys.argv[1:]:
    call_command(*shlex.split(command))
"""
# Writes and reads rows until its input ends; a line for each round: {} or the error.
_PLAYER = """
import json, os, random, select, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
import django
django.setup()
from shop.models import Item

FIELD = Item._meta.ordering[0]
name = str(os.getpid())
mine = {}
while not select.select([sys.stdin], [], [], 0.05)[0]:
    problem = {}
    try:
        value = random.choice(["common", "rare", "epic"])
        item = Item.objects.create(owner=name, **{FIELD: value})
        mine[item.pk] = value
        key, value = random.choice([*mine]), random.choice(["common", "foil"])
        if random.random() < 0.5:
            Item.objects.filter(pk=key).update(**{FIELD: value})
        else:
            other = Item.objects.get(pk=key)
            setattr(other, FIELD, value)
            other.save()
        mine[key] = value
        read = dict(Item.objects.filter(owner=name).values_list("pk", FIELD))
        if read != mine:
            problem = {"error": "read what was not written", "read": str(read), "written": str(mine)}
        list(Item.objects.all()[:5])
    except Exception as exc:
        problem = {"error": type(exc).__name__, "message": str(exc).splitlines()[0]}
    print(json.dumps(problem), flush=True)
"""


def _write_models(fields: str, *names: str) -> str:
    indexes = (f'models.Index(fields=["{name}", "owner"], name="idx_{name}")' for name in names)
    return _MODELS.format(fields=fields, first=names[0], indexes=", ".join(indexes))


Generations = dict[str, tuple[str, str]]  # the models and the operations


def replacement(swap: bool) -> Generations:
    """Return the generations of a change from ``rarity`` to ``rarity_v2``."""
    operations = _OPERATIONS.format(swap=swap)
    both = _write_models(f"{_OLD}\n    {_NEW}", "rarity", "rarity_v2")
    new = _write_models(_WIDE, "rarity") if swap else _write_models(_NEW, "rarity_v2")
    return {"old": (_write_models(_OLD, "rarity"), ""), "both": (both, operations), "new": (new, operations)}


def removal(field: str = _FEATURED) -> Generations:
    """Return the generations of the removal of ``featured``."""
    old = _write_models(f"{_OLD}\n    {field}", "rarity", "featured")
    return {"old": (old, _REMOVAL), "new": (_write_models(_OLD, "rarity"), _REMOVAL)}


class Shop:
    """The project, in folders and a database of its own."""

    def __init__(self, root: Path, database: str, generations: Generations, server: str = "") -> None:
        url = urlsplit(server or os.environ["DATABASE_URL"])._replace(path=f"/{database}")
        names = {"NAME": database, "USER": url.username, "PASSWORD": url.password}
        self.root, migrations = root, root / "migrations"
        migrations.mkdir()
        (migrations / "__init__.py").touch()
        for generation, (models, operations) in generations.items():
            files = {
                "shop/models.py": models,
                "shop/operations.py": operations,
                "player.py": _PLAYER,
                "run.py": _RUN,
            }
            (root / generation).mkdir()
            write_project(root / generation, {**names, "HOST": url.hostname, "PORT": url.port}, files)
            (root / generation / "shop/migrations").symlink_to(migrations)
        self.url = url.geturl()
        self.connect()

    def connect(self) -> None:
        self.session = psycopg.connect(self.url, autocommit=True)

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        cursor = self.session.execute(statement)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else []

    def popen(self, generation: str, *words: str) -> PipedPython:
        """Start Python in the project, as the generation."""
        return start_in_project(self.root / generation, *words)

    def run(self, generation: str, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run ``manage.py`` as the generation, to its end."""
        process = self.popen(generation, "manage.py", *words)
        out, err = process.communicate()
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def manage(self, generation: str, *commands: str) -> None:
        """Run commands of ``manage.py`` in one process as the generation; each must succeed."""
        process = self.popen(generation, "run.py", *commands)
        out, err = process.communicate()
        assert process.returncode == 0, f"{commands}: {out} {err}"

    def add_backup(self, file: Path) -> None:
        """Record a verified backup of now."""
        file.touch()
        self.session.execute(
            "INSERT INTO ops_backup (path, database, size, sha256, started_at, duration, server_version,"
            " program_version, counts, verified_at)"
            " VALUES (%s, current_database(), 1, '', now(), '1 s', '', '', '{}', now())",
            [str(file)],
        )

    def catalogue(self) -> list[tuple[Any, ...]]:
        """The table, and the logs of the change and of the migrations."""
        logs = self.execute(
            "SELECT 'event', row_number() OVER (ORDER BY id) || step FROM ops_column_change_event"
            " UNION ALL SELECT 'migration', name FROM django_migrations WHERE app = 'shop' ORDER BY 1, 2"
        )
        return [*self.table(), *logs]

    def table(self) -> list[tuple[Any, ...]]:
        """The columns, constraints and indexes of the table, its triggers and their functions."""
        return self.execute(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = 'shop_item'::regclass"
            " UNION ALL SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'shop_item'"
            " UNION ALL SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger"
            " WHERE tgrelid = 'shop_item'::regclass"
            " UNION ALL SELECT proname, prosrc FROM pg_proc WHERE proname ~ '^(dual_write|column_watch)_'"
            " UNION ALL SELECT attname, concat_ws(' ', format_type(atttypid, atttypmod), attnotnull,"
            " pg_get_expr(adbin, adrelid)) FROM pg_attribute"
            " LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum"
            " WHERE attrelid = 'shop_item'::regclass AND attnum > 0 AND NOT attisdropped"
            " ORDER BY 1, 2"
        )


@contextmanager
def shop(
    root: Path,
    swap: bool = False,
    generations: Generations | None = None,
    server: str = "",
    rows: str = _ROWS,
) -> Iterator[Shop]:
    """The project with its first migration applied, and 50 rows; ``server`` is the URL of another one.

    ``rows`` is the Python code that creates them.
    """
    server = server or os.environ["DATABASE_URL"]
    database = sql.Identifier(f"shop_{os.getpid()}")
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(database))
    try:
        project = Shop(root, f"shop_{os.getpid()}", generations or replacement(swap), server)
        project.manage("old", "makemigrations shop", "migrate", f'shell -c "{rows}"')
        yield project
        project.session.close()
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))


class Player:
    """A process of a generation that writes and reads until ``stop``; ``problems`` are its errors."""

    def __init__(self, project: Shop, generation: str, program: str = "player.py") -> None:
        self.process = project.popen(generation, program)
        self.rounds: list[Any] = []
        self.reader = Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.rounds.append(json.loads(line))

    @property
    def problems(self) -> list[dict[str, str]]:
        return [each for each in self.rounds if each]

    def play(self) -> None:
        """Wait for some rounds that begin from now on."""
        before = len(self.rounds)
        wait_until(lambda: len(self.rounds) > before + 5 or self.process.poll() is not None)
        assert self.process.poll() is None, self.process.stderr.read()

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.reader.join()


@contextmanager
def playing(project: Shop, *generations: str) -> Iterator[list[Player]]:
    """Have processes of the generations write and read, without an error until the end of the block."""
    players = [Player(project, generation) for generation in generations]
    try:
        for player in players:
            player.play()
        yield players
        for player in players:
            player.play()
            assert player.problems == []
    finally:
        for player in players:
            player.stop()
