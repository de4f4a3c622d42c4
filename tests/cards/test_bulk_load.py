"""Loads while other sessions write to the same table."""

import contextlib
import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections

from cards.models import Card
from ops.models import AuditLog
from tests.cards.conftest import card, load

pytestmark = [
    pytest.mark.engine,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("rules"),
]

Write = Callable[..., Path]


@pytest.fixture
def player() -> Iterator[psycopg.Connection[Any]]:
    """Another connection, with its own transaction."""
    with contextlib.closing(psycopg.connect(**connection.get_connection_params())) as other:
        yield other


class Load(threading.Thread):
    """A load in its own thread, which may wait for locks."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.path, self.error, self.stdout = path, None, io.StringIO()
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            call_command("load_pack", self.path, "--execute", stdout=self.stdout)
        except BaseException as exc:
            self.error = exc
        finally:
            connections.close_all()

    def finish(self) -> list[str]:
        self.join(timeout=60)
        assert not self.is_alive()
        if self.error:
            raise self.error
        return self.stdout.getvalue().split("\n\n", 1)[1].splitlines()


def wait_until(player: psycopg.Connection[Any], condition: str) -> None:
    """Wait until the condition holds for a session of this database in pg_stat_activity."""
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as watch:
        query = f"SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND ({condition})"
        while not watch.execute(query).fetchone():
            pass


WAITING = "wait_event_type = 'Lock'"


def test_the_old_value_is_what_the_player_has_just_committed(
    write: Write, player: psycopg.Connection[Any]
) -> None:
    load(write([card(title="first")]), "--execute")
    player.execute("UPDATE cards SET title = 'second', description = 'D'")
    loading = Load(write([card(title="third")]))
    wait_until(player, WAITING)
    player.commit()
    assert loading.finish() == ["  0  created", "  1  changed", "  0  unchanged"]
    assert AuditLog.objects.order_by("pk").last().changes == {"title": {"old": "second", "new": "third"}}
    assert Card.objects.get().description == "D"


def test_a_row_that_the_player_made_equal_is_not_changed(
    write: Write, player: psycopg.Connection[Any]
) -> None:
    load(write([card(title="first")]), "--execute")
    player.execute("UPDATE cards SET title = 'third'")
    loading = Load(write([card(title="third")]))
    wait_until(player, WAITING)
    player.commit()
    assert loading.finish() == ["  0  created", "  0  changed", "  1  unchanged"]
    assert AuditLog.objects.count() == 1


def test_a_card_that_the_player_inserts_meanwhile_is_updated(
    write: Write, player: psycopg.Connection[Any]
) -> None:
    player.execute("INSERT INTO cards (card_id, title, pack_id) VALUES ('cóndor', 'theirs', 'aves')")
    loading = Load(write([card(title="ours")]))
    wait_until(player, WAITING)
    player.commit()
    assert loading.finish() == ["  0  created", "  1  changed", "  0  unchanged"]
    assert AuditLog.objects.get().changes == {"title": {"old": "theirs", "new": "ours"}}


def test_a_card_that_the_player_deletes_meanwhile_is_inserted(
    write: Write, player: psycopg.Connection[Any]
) -> None:
    load(write([card(title="first")]), "--execute")
    player.execute("DELETE FROM cards")
    loading = Load(write([card(title="second")]))
    wait_until(player, WAITING)
    player.commit()
    assert loading.finish() == ["  1  created", "  0  changed", "  0  unchanged"]
    assert Card.objects.get().title == "second"


def test_two_loads_of_one_pack_create_and_audit_each_card_once(write: Write) -> None:
    pack = write([card(f"c{i}") for i in range(500)])
    loads = [Load(pack), Load(pack)]
    created = sorted(loading.finish()[0].split()[0] for loading in loads)
    assert created == ["0", "500"]
    assert (Card.objects.count(), AuditLog.objects.count()) == (500, 500)


def test_a_lock_that_is_never_released_rolls_back_the_load(
    write: Write, player: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.bulk_load.MAX_ATTEMPTS", 2)
    load(write([card("held"), card("free")]), "--execute")
    player.execute("SELECT FROM cards WHERE card_id = 'held' FOR UPDATE")
    loading = Load(write([card("new"), card("free", title="X"), card("held", title="X")]))
    with pytest.raises(CommandError, match="other sessions have locked rows of cards") as caught:
        loading.finish()
    assert caught.value.returncode == 1
    assert set(Card.objects.values_list("title", flat=True)) == {"Cóndor"}
    assert (Card.objects.count(), AuditLog.objects.count()) == (2, 2)


def test_in_a_deadlock_the_load_is_cancelled_and_tried_again(
    write: Write, player: psycopg.Connection[Any]
) -> None:
    load(write([card("a"), card("b")]), "--execute")
    player.execute("UPDATE cards SET description = 'mine' WHERE card_id = 'b'")
    loading = Load(write([card("a", title="X"), card("b", title="X")]))
    wait_until(player, WAITING)
    player.execute("UPDATE cards SET description = 'mine' WHERE card_id = 'a'")
    player.commit()
    assert loading.finish()[1] == "  2  changed"
    assert set(Card.objects.values_list("title", "description")) == {("X", "mine")}


def test_an_error_rolls_back_the_whole_load(write: Write) -> None:
    load(write([card("a")]), "--execute")
    with connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE audit_logs ADD CONSTRAINT trial CHECK (changes::text NOT LIKE '%%poison%%')"
        )
    try:
        with pytest.raises(CommandError, match="trial"):
            load(write([card("a", title="X"), card("b"), card("c", title="poison")]), "--execute")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE audit_logs DROP CONSTRAINT trial")
    assert list(Card.objects.values_list("card_id", "title")) == [("a", "Cóndor")]
    assert AuditLog.objects.count() == 1


def test_no_staging_table_is_left_behind(write: Write) -> None:
    load(write([card("a")]), "--execute")
    with pytest.raises(CommandError):
        load(write([card("a", title="")]))
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relpersistence = 't' AND relname LIKE 'staged%%'")
        assert cursor.fetchall() == []
