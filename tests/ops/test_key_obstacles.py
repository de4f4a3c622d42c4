"""What a column change of a primary key does not support is told before anything is written."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import models
from django.test.utils import isolate_apps

from ops.column_changes import ColumnChange
from ops.column_changes.planning import followers
from ops.column_changes.planning.counterparts import list_missing
from ops.column_changes.planning.model_obstacles import find_model_obstacles
from ops.column_changes.planning.plan import compile_change
from ops.column_changes.planning.table import ChangedTable, read_table
from ops.column_changes.planning.table_obstacles import find_obstacles
from tests.ops.running import execute_sql

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

with isolate_apps("tests.trials"):  # so that other tests do not see them

    class Ticket(models.Model):
        id = models.AutoField(primary_key=True)
        key = models.BigIntegerField()
        narrow = models.SmallIntegerField()
        empty = models.BigIntegerField(null=True)
        once = models.BigIntegerField(unique=True)
        given = models.BigIntegerField(default=0)
        name = models.TextField()

        class Meta:
            app_label = "trials"
            db_table = "ticket"

    class Parent(models.Model):
        id = models.AutoField(primary_key=True)
        key = models.BigIntegerField()
        friends = models.ManyToManyField("self")

        class Meta:
            app_label = "trials"

    class Child(Parent):
        class Meta:
            app_label = "trials"


TABLE = "CREATE TABLE ticket (id integer PRIMARY KEY, key bigint)"


@pytest.fixture(autouse=True)
def _dropped(transactional_db: None) -> Iterator[None]:
    execute_sql("CREATE SCHEMA trial; SET search_path = trial, public")
    yield
    execute_sql("RESET search_path; DROP SCHEMA trial CASCADE")


def declare(**attributes: Any) -> type[ColumnChange]:
    members = {"name": "wide", "model": Ticket, "old": "id", "new": "key", "swap": True, **attributes}
    return type("Wide", (ColumnChange,), members)


def read(*statements: str, **attributes: Any) -> ChangedTable:
    execute_sql("; ".join([TABLE, *statements]))
    change = declare(**attributes)
    table = read_table(change, compile_change(change))
    assert table
    return table


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({}, []),
        ({"swap": False}, ["id is the primary key of trials.Ticket. A column change supports only integers"]),
        (
            {"new": "narrow"},
            ["trials.Ticket.id is a primary key of the type integer, and narrow is small"],
        ),
        ({"new": "name"}, ["trials.Ticket.id is a primary key of the type integer, and name is text."]),
        ({"new": "empty"}, ["empty may be NULL, and becomes the primary key"]),
        ({"new": "once"}, ["once gets the index of the primary key at the step constrain"]),
        ({"new": "given"}, ["given has a default, and is a copy of id in each row"]),
        ({"mapping": {1: 2}}, ["trials.Ticket.id is a primary key, whose values have to stay the same"]),
        (
            {"model": Parent},
            [
                "The model trials.Child inherits from trials.Parent",
                "Django made the table trials_parent_friends of a ManyToManyField",
                "Django made the table trials_parent_friends of a ManyToManyField",
            ],
        ),
    ],
)
def test_an_obstacle_of_the_model_is_told(attributes: dict[str, Any], words: list[str]) -> None:
    found = sorted(find_model_obstacles(declare(**attributes)), key=lambda each: each[0] != "T")
    assert [each.startswith(begin) for each, begin in zip(found, words, strict=True)] == [True] * len(words)


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (["CREATE TABLE b (x int REFERENCES ticket)"], []),
        (
            ["ALTER TABLE ticket DROP CONSTRAINT ticket_pkey, ADD PRIMARY KEY (id, key), ADD UNIQUE (id)"],
            ["ticket.id is the primary key or a part of it.", "ticket.key is the primary key or a part"],
        ),
        (["CREATE SEQUENCE s; ALTER TABLE ticket ALTER id SET DEFAULT nextval('s')"], ["it does not own"]),
        (["ALTER TABLE ticket ALTER id SET DEFAULT 7"], ["ticket.id has the default 7. A key may have"]),
        (
            [
                "ALTER TABLE ticket ADD UNIQUE (id, key)",
                "CREATE TABLE b (x int, y bigint)",
                "ALTER TABLE b ADD CONSTRAINT f FOREIGN KEY (x, y) REFERENCES ticket (id, key)",
            ],
            ["The foreign key f of b refers to ticket.key.", "f of b refers to ticket.id, and has several"],
        ),
        (
            ["CREATE TABLE b (x int CONSTRAINT f REFERENCES ticket) PARTITION BY LIST (x)"],
            ["The foreign key f of b refers to ticket.id, and its table is partitioned"],
        ),
        (
            [
                "CREATE TABLE b (x int)",
                "ALTER TABLE b ADD CONSTRAINT f FOREIGN KEY (x) REFERENCES ticket NOT VALID",
            ],
            ["The foreign key f of b refers to ticket.id, and is NOT VALID"],
        ),
        (
            ["ALTER TABLE ticket REPLICA IDENTITY USING INDEX ticket_pkey"],
            ["id is in the replica identity of ticket"],
        ),
    ],
)
def test_an_obstacle_of_the_table_is_told(statements: list[str], words: list[str]) -> None:
    found = find_obstacles(read(*statements))
    assert [part in each for each, part in zip(found, words, strict=True)] == [True] * len(words), found


def test_what_ends_before_the_key_is_noted() -> None:
    """A column that refers to it, and the old column; a foreign key of the table itself needs no like."""
    table = read("ALTER TABLE ticket ADD up integer REFERENCES ticket", unmappable="keep")
    assert followers.list_notes(table) == [
        "A value of key that cannot become integer, the type of id, leaves id empty after the step retire,"
        " which cannot be taken back then.",
        "ticket.up refers to the key, and ends at 2147483647. Widen it by a change of its own, after this one"
        " has taken the step retire.",
    ]
    assert list(list_missing(table)) == []
    assert followers.list_notes(read_table(declare(), compile_change(declare())))[0].endswith(
        'is refused until the step drop. To have it written, declare unmappable = "keep".'
    )
