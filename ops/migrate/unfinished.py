"""What was done of a migration that could not be one transaction, so that it goes on after a kill.

# Note [Unfinished migrations]
A table that exists only meanwhile has a row for the migration: the operations that are done, and the
statements that are left of the one under way. A transaction that does a part of the migration changes the row
too, so that both are committed or neither. A statement that runs in no transaction is marked before it
begins: when the migration goes on, the catalogue says whether it was done. What is left is kept as text,
since an operation that was done in part may not find again what it looks for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from typing import Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import Migration

from ops.exceptions import OpsError
from ops.formatting import truncate
from ops.migrate.steps import Place, Step
from ops.sql.query import fetch_all

_CREATE_SQL = """
CREATE TABLE IF NOT EXISTS ops_unfinished_migrations (
    app text, name text, backwards boolean, state jsonb NOT NULL, PRIMARY KEY (app, name, backwards))
"""


class MigrationChanged(OpsError):
    """A migration of which a part was done is another one now."""


@dataclass
class UnfinishedMigration:
    """``done``: the operations that are done, described. ``left``: the steps left of the next one.

    ``has_begun``: whether the first step that is left was begun, outside of any transaction.
    ``is_whole``: whether ``left`` is all of the operation, so that it can be made anew.
    """

    connection: BaseDatabaseWrapper
    migration: Migration
    is_backwards: bool
    done: list[str] = field(default_factory=list)
    left: list[Step] = field(default_factory=list)
    has_begun: bool = False
    is_whole: bool = False

    def create(self) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(_CREATE_SQL)

    def save(self) -> None:
        """Write the row."""
        state = {
            "done": self.done,
            "left": [] if self.is_whole and not self.has_begun else [[*astuple(step)] for step in self.left],
            "has_begun": self.has_begun,
        }
        with self.connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO ops_unfinished_migrations VALUES (%s, %s, %s, %s)"
                " ON CONFLICT (app, name, backwards) DO UPDATE SET state = excluded.state",
                [*self._key, json.dumps(state)],
            )

    def delete(self) -> None:
        """Delete the row, and the table with the last one."""
        with self.connection.cursor() as cursor:
            cursor.execute(
                "DELETE FROM ops_unfinished_migrations WHERE (app, name, backwards) = (%s, %s, %s)",
                [*self._key],
            )
            cursor.execute("SELECT count(*) FROM ops_unfinished_migrations")
            if cursor.fetchone() == (0,):
                cursor.execute("DROP TABLE ops_unfinished_migrations")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Open a transaction; what the block changes here is saved with it, or forgotten if it fails."""
        before = (list(self.done), list(self.left), self.has_begun, self.is_whole)
        try:
            with transaction.atomic(using=self.connection.alias):
                yield
                self.save()
        except BaseException:
            self.done, self.left, self.has_begun, self.is_whole = before
            raise

    def keep(self, steps: Sequence[Step], description: str, is_whole: bool = False) -> None:
        """Set the steps that are left of the operation; with none, it is done."""
        self.left, self.is_whole = list(steps), is_whole
        if not steps:
            self.done.append(description)

    def finish_step(self, description: str) -> None:
        """Remove the first step that is left; with the last one, the operation is done."""
        self.has_begun = self.is_whole = False
        self.keep(self.left[1:], description)

    def require_same(self, descriptions: Sequence[str]) -> None:
        """Raise MigrationChanged unless what is done are the first of these operations."""
        if self.done != list(descriptions[: len(self.done)]):
            done = "".join(f"\n  {truncate(each, 100)}" for each in self.done)
            raise MigrationChanged(
                f"{self.migration} was changed after a part of it was done:{done}\n"
                "Undo the change of the file, and migrate again; or undo by hand what was done, and then"
                " in psql: TRUNCATE ops_unfinished_migrations;"
            )

    @property
    def _key(self) -> tuple[Any, ...]:
        return self.migration.app_label, self.migration.name, self.is_backwards


def read_unfinished(
    connection: BaseDatabaseWrapper, migration: Migration, is_backwards: bool
) -> UnfinishedMigration | None:
    """Read what was done of the migration; None if it has not begun, or is done."""
    if not _exists(connection):
        return None
    unfinished = UnfinishedMigration(connection, migration, is_backwards)
    query = "SELECT state::text FROM ops_unfinished_migrations WHERE (app, name, backwards) = (%s, %s, %s)"
    rows = fetch_all(query, *unfinished._key, using=connection)
    if not rows:
        return None
    state = json.loads(rows[0][0])
    unfinished.done, unfinished.has_begun = state["done"], state["has_begun"]
    unfinished.left = [Step(sql, Place(place)) for sql, place in state["left"]]
    return unfinished


def list_unfinished(connection: BaseDatabaseWrapper) -> list[tuple[str, str, bool]]:
    """Return app, name and direction of each."""
    if not _exists(connection):
        return []
    rows = fetch_all(
        "SELECT app, name, backwards FROM ops_unfinished_migrations ORDER BY 1, 2, 3", using=connection
    )
    return [(app, name, backwards) for app, name, backwards in rows]


def _exists(connection: BaseDatabaseWrapper) -> bool:
    return fetch_all("SELECT to_regclass('ops_unfinished_migrations') IS NOT NULL", using=connection) == [
        (True,)
    ]
