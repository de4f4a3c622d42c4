"""An export of a large table is read over several connections: the bytes are the same, so is the snapshot."""

from collections.abc import Callable
from pathlib import Path
from threading import Event
from threading import enumerate as enumerate_threads

import psycopg
import pytest
from django.db import OperationalError

from cards.models import Card
from ops.exceptions import Interrupted
from ops.export import parallel
from ops.export.files import FORMATS, FileFormat
from ops.export.progress import TransferProgress
from ops.export.request import ExportRequest
from ops.export.write import write_export
from ops.operations.scope import Scope
from tests.cards.nasty import fill
from tests.ops.running import execute_sql, override_connection, player, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.engine]


@pytest.fixture
def cards() -> None:
    fill()
    Card.objects.bulk_create(
        Card(card_id=f"c{n}", title=f"Card {n}", pack_id=f"p{n % 3}") for n in range(400)
    )
    Card.objects.filter(card_id__endswith="7").delete()  # gaps in the keys


@pytest.fixture
def always_parallel(monkeypatch: pytest.MonkeyPatch, cards: None) -> None:
    monkeypatch.setattr(parallel, "MIN_ROWS", 1)
    monkeypatch.setattr(parallel, "_ROWS_PER_RANGE", 25)


class Watched(TransferProgress):
    """Calls ``act`` once, when the first block has been written."""

    def __init__(self, act: Callable[[], object] = int) -> None:
        self.act: Callable[[], object] = act

    def advance(self, name: str, rows: int, size: int) -> None:
        act, self.act = self.act, int
        act()


def export(
    folder: Path, form: str = "json", scope: Scope | None = None, act: Callable[[], object] = int
) -> bytes:
    request = ExportRequest(FileFormat(form), scope or Scope(), audit_last=0)
    write_export(request, folder, Watched(act), Event())
    return (folder / f"cards.{form}").read_bytes()


@pytest.mark.usefixtures("cards")
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("scope", [Scope(), Scope({"pack_id": "p1"})], ids=["all", "filtered"])
def test_the_bytes_are_those_of_one_connection(
    tmp_path: Path, form: str, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = export(tmp_path / "one", form, scope)
    monkeypatch.setattr(parallel, "MIN_ROWS", 1)
    monkeypatch.setattr(parallel, "_ROWS_PER_RANGE", 25)
    names: set[str] = set()
    assert (
        export(tmp_path / "two", form, scope, lambda: names.update(each.name for each in enumerate_threads()))
        == one
    )
    assert "export" in names


@pytest.mark.usefixtures("always_parallel")
def test_what_is_committed_meanwhile_is_in_no_range(tmp_path: Path) -> None:
    before = export(tmp_path / "before")

    def write() -> None:
        with player() as other:
            other.execute("UPDATE cards SET title = 'late'")
            other.execute("INSERT INTO cards (card_id, title, pack_id) VALUES ('new', 'late', 'p')")
            other.commit()

    assert export(tmp_path / "after", act=write) == before


@pytest.mark.usefixtures("cards")
@pytest.mark.parametrize("statement", ["TRUNCATE cards CASCADE", "ALTER TABLE cards ALTER tags TYPE text[]"])
def test_a_table_cannot_be_rewritten_before_it_was_read(tmp_path: Path, statement: str) -> None:
    """To a snapshot that was taken before, a truncated table is empty."""
    before = export(tmp_path / "before")
    refused: list[str] = []

    def rewrite() -> None:
        with player() as other:
            other.execute("SET lock_timeout = '50ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable) as caught:
                other.execute(statement)
        refused.append(str(caught.value))

    assert export(tmp_path / "after", act=rewrite) == before
    assert len(refused) == 1


@pytest.mark.usefixtures("always_parallel")
def test_one_connection_does_where_the_server_has_no_more(tmp_path: Path) -> None:
    usual = export(tmp_path / "usual")
    execute_sql("CREATE ROLE lonely LOGIN PASSWORD 'lonely' CONNECTION LIMIT 1")
    try:
        execute_sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO lonely")
        with override_connection(USER="lonely", PASSWORD="lonely"):
            assert export(tmp_path / "alone") == usual
    finally:
        execute_sql("DROP OWNED BY lonely; DROP ROLE lonely")


@pytest.mark.usefixtures("always_parallel")
def test_an_export_fails_whole_when_a_reader_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "_BLOCKS_AHEAD", 1)  # so that the readers wait for the writer
    [[own]] = execute_sql("SELECT pg_backend_pid()")

    def kill() -> None:
        readers = (
            "datname = current_database() AND backend_xmin IS NOT NULL AND pid NOT IN (%s, pg_backend_pid())"
        )
        with player() as other:
            other.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {readers}", [own])

    with pytest.raises(OperationalError):
        export(tmp_path / "killed", act=kill)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("always_parallel")
def test_an_interrupted_export_leaves_neither_files_nor_sessions(tmp_path: Path) -> None:
    stop = Event()
    request = ExportRequest(audit_last=0)
    with pytest.raises(Interrupted):
        write_export(request, tmp_path / "stopped", Watched(stop.set), stop)
    assert list(tmp_path.iterdir()) == []
    sessions = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY %'"
    wait_until(lambda: not execute_sql(sessions))
