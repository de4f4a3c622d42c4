"""Packs that a person uploads: staged as a change set, with the difference to the catalogue."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import Permission, User
from django.db import connection

from cards.models import Asset, Card
from ops.engine.batch_size import BatchSize
from ops.engine.loop import run_batches
from ops.exceptions import InvalidParams
from ops.models import AuditLog, ChangeSet, Origin, Run, StagedChange, Upload
from ops.operations import ApplyChangeSet, Operation, Revert
from ops.runs import lifecycle
from ops.runs.creation import RunRequest, create_run
from ops.runs.preview import build_preview
from ops.runs.rebuild import rebuild_operation
from ops.runs.reverts import read_reversal
from ops.sql import created_rows
from ops.uploads.queue import request_upload
from ops.workers.jobs import NullListener
from tests.cards.conftest import card, run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("rules")]

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def upload_root(settings: LazySettings, tmp_path: Path) -> Path:
    settings.UPLOAD_ROOT = tmp_path / "uploads"
    return tmp_path / "uploads"


def upload(content: Any, name: str = "pack.json", by: str = "ada") -> Upload:
    if not isinstance(content, bytes):
        content = json.dumps(content).encode()
    return request_upload(Card, name, len(content), [content], by)


def staged(one: Upload) -> Iterator[tuple[bool, dict[str, Any]]]:
    rows = StagedChange.objects.filter(change_set=one.change_set).order_by("pk")
    return ((row.is_new, row.changes) for row in rows)


def counts(one: Upload) -> tuple[str, int, int, int]:
    return one.state, one.created, one.changed, one.unchanged


def test_the_difference_is_staged_and_nothing_written(upload_root: Path) -> None:
    old = Card.objects.create(card_id="a", title="A", pack_id="aves", metadata={"x": 1, "y": 2})
    same = Card.objects.create(card_id="b", title="B", pack_id="aves")
    one = upload([card("a", title="Á", metadata={"y": 3}), card("b", title="B"), card("c", tags=["t"])])
    assert counts(one) == ("staged", 1, 1, 1)
    assert (one.error, one.changed_columns, [*upload_root.iterdir()]) == ("", {"metadata": 1, "title": 1}, [])
    change, new = staged(one)
    assert change == (False, {
        "title": {"old": "A", "new": "Á"},
        "metadata": {"old": {"x": 1, "y": 2}, "new": {"x": 1, "y": 3}},
    })  # fmt: skip
    key = new[1]["id"]["new"]
    assert new == (True, {
        "id": {"old": None, "new": key},
        "card_id": {"old": None, "new": "c"},
        "title": {"old": None, "new": "Cóndor"},
        "pack_id": {"old": None, "new": "aves"},
        "tags": {"old": None, "new": ["t"]},
    })  # fmt: skip
    assert key > same.pk > old.pk
    assert Card.objects.count() == 2
    assert ChangeSet.objects.values_list("columns", "source", "created_by", "title").get() == (
        ["metadata", "title", "image"], "upload", "ada", "pack.json",
    )  # fmt: skip


def test_a_second_upload_of_what_is_stored_is_nothing_to_do(tmp_path: Path) -> None:
    Card.objects.create(card_id="a", title="=1+1", pack_id="aves", metadata={"n": 1})
    for form in ("json", "jsonl", "csv"):
        run("export_json", "--output", tmp_path / form, "--format", form)
        one = upload((tmp_path / form / f"cards.{form}").read_bytes(), f"cards.{form}")
        assert (counts(one), one.change_set) == (("staged", 0, 0, 1), None)
    assert not ChangeSet.objects.exists()


def test_a_changed_digit_of_a_number_is_a_difference(tmp_path: Path) -> None:
    Card.objects.create(card_id="a", title="A", pack_id="aves", metadata={})
    upload_text = b'[{"cardId": "a", "metadata": {"n": 1.10}}]'
    one = upload(upload_text)
    assert StagedChange.objects.extra(where=["changes::text LIKE '%%1.10%%'"]).exists()
    assert one.changed == 1


def test_a_bad_file_is_refused_with_every_bad_row_in_words(upload_root: Path) -> None:
    rows = [card(f"c{n}", title="" if n % 2 else "T") for n in range(60)]
    one = upload([*rows, {"cardId": "new"}])
    assert one.state == "refused"
    lines = one.error.splitlines()
    assert lines[0] == "pack.json was refused: 31 bad rows. Nothing was loaded."
    assert (len(lines), lines[1]) == (32, "  row [1]   title is empty")
    assert lines[-1] == "  row [60]  title and packId are missing, and 'new' is a new row"
    assert (StagedChange.objects.exists(), [*upload_root.iterdir()]) == (False, [])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("p.json", b"", "the file is empty."),
        ("p.json", b"\xff\xfe", "not UTF-8: byte 0xff at offset 0, in line 1."),
        (
            "p.csv",
            b'card_id,title\na,"b',
            "not CSV: unexpected end of data in the row that begins at line 2.",
        ),
        ("p.json", b'{"cards": 1}', 'it has no list "cards" or "assets"; its top level has "cards".'),
        ("p.xlsx", b"PK\x03\x04\x00", "it is a workbook or a zip. Save a workbook as CSV (UTF-8)"),
        ("cards.json.gz", b"\x1f\x8b\x08", "it is compressed with gzip. Unpack it first."),
        ("p", b"[", "not JSON"),
    ],
)
def test_a_file_that_is_no_pack_is_refused_by_its_own_name(name: str, content: bytes, said: str) -> None:
    one = upload(content, name)
    assert one.state == "refused"
    assert one.error.startswith(f"{name} was refused: ")
    assert said in one.error


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "count.csv",
            b"cardId,title,packId\na9,,\n",
            "line 2  title and packId are missing, and 'a9' is a new row",
        ),
        (
            "keyed.json",
            b'{"C-0": {"name": "x"}}',
            'it has no list "cards" or "assets"; its top level has "C-0".',
        ),
        ("name.json", b'{"packId": "p", "cards": [{"id": "n", "name": "N"}]}', "title is missing"),
        ("numid.json", b'[{"id": 5, "title": "A", "packId": "p"}]', "cardId is the number 5, not text"),
    ],
)
def test_what_other_tools_wrote_is_refused_in_words(name: str, content: bytes, said: str) -> None:
    one = upload(content, name)
    assert (one.state, said in one.error) == ("refused", True), one.error


def test_pictures_beside_the_pack_are_told_and_kept_as_named() -> None:
    one = upload([card(image="images/a.webp"), card("b", image="https://x.example/a.png")])
    assert [remark.partition(".")[0] for remark in one.remarks] == [
        "1 cards name a picture that is a file beside the pack"
    ]


def test_a_file_with_many_rows_waits_for_a_worker(redis_server: object, settings: LazySettings) -> None:
    User.objects.create_superuser("ada")
    one = upload([card(f"c{n}") for n in range(10_001)])
    assert (one.state, one.created) == ("waiting", 0)


def apply(one: Upload, by: str = "ada") -> Run:
    User.objects.filter(username=by).exists() or User.objects.create_superuser(by)
    return perform(ApplyChangeSet, {"change_set": one.change_set_id}, by)


def perform(operation: type[Operation], params: dict[str, Any], by: str = "ada") -> Run:
    created = create_run(RunRequest(operation, by, params))
    run_batches(created, NullListener(), Event())
    created.refresh_from_db()
    assert created.state == "succeeded", (created.state, created.error)
    return created


def table() -> list[Any]:
    """All cards with the digits of their metadata, without the times of their changes."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT (to_jsonb(cards) - 'updated_at')::text FROM cards ORDER BY id")
        rows: list[Any] = cursor.fetchall()
        return rows


def test_a_run_creates_and_changes_and_its_revert_takes_all_back() -> None:
    Card.objects.create(card_id="a", title="A", pack_id="aves", metadata={"x": 1})
    before = table()
    one = upload(
        [card("a", title="Á"), card("b", metadata={"n": 1}, tags=["x", "y"], rarity="rare"), card("c")]
    )
    done = apply(one)
    assert (done.total, done.lanes.get().changed) == (3, 3)
    b = Card.objects.get(card_id="b")
    assert (b.rarity, b.rarity_v2, b.tags, b.metadata, b.description) == (
        "rare",
        "rare",
        ["x", "y"],
        {"n": 1},
        "",
    )
    assert Card.objects.get(card_id="c").rarity == "common"
    assert (Card.objects.get(card_id="a").title, Card.objects.count()) == ("Á", 3)
    after = table()
    audited = AuditLog.objects.filter(run=done)
    assert audited.count() == 3
    assert audited.get(object_id=str(b.pk)).changes["title"] == {"old": None, "new": "Cóndor"}
    reverted = perform(Revert, {"run": done.pk})
    assert (table(), reverted.lanes.get().changed, reverted.total) == (before, 3, 3)
    assert not read_reversal(done).left
    perform(Revert, {"run": reverted.pk})
    assert table() == after


def test_a_created_card_that_somebody_changed_or_used_stays_at_the_revert() -> None:
    done = apply(upload([card(name) for name in ("edited", "used", "drawn", "plain")]))
    keys = dict(Card.objects.values_list("card_id", "pk"))
    Card.objects.filter(card_id="edited").update(description="by hand")
    made = {"asset_type": "a", "file_path": "a", "file_size": 1, "mime_type": "a/b"}
    for name in ("used", "drawn"):
        Asset.objects.create(asset_key=name, card_id=keys[name], **made)
    # What follow-ups write is no change by a person.
    Card.objects.filter(card_id="drawn").update(thumbnail="thumbnails/3f/x.webp")
    AuditLog.objects.create(
        action="add", object_type="cards.asset", object_id=Asset.objects.get(asset_key="used").pk,
        performed_by="eve", changes={},
    )  # fmt: skip
    preview = build_preview(RunRequest(Revert, "ada", {"run": done.pk}))
    assert (preview.total, preview.notes) == (2, [
        "2 cards will be deleted.", "2 cards will not be deleted: they are changed, used or deleted since.",
    ])  # fmt: skip
    reverted = perform(Revert, {"run": done.pk})
    assert set(Card.objects.values_list("card_id", flat=True)) == {"edited", "used"}
    assert [*Asset.objects.values_list("asset_key", flat=True)] == ["used"]
    deleted = AuditLog.objects.get(object_type="cards.asset", metadata={"run": reverted.pk})
    assert deleted.changes["asset_key"] == {"old": "drawn", "new": None}
    assert AuditLog.objects.get(run=reverted, object_id=keys["plain"]).changes["id"] == {
        "old": keys["plain"], "new": None,
    }  # fmt: skip
    assert read_reversal(done).left == 2


def test_rows_are_created_once_by_whoever_takes_the_run_up_again() -> None:
    one = upload([card(f"c{n}") for n in range(5)])
    User.objects.create_superuser("ada")
    created = create_run(RunRequest(ApplyChangeSet, "ada", {"change_set": one.change_set_id}))
    lifecycle.start(created)
    operation = rebuild_operation(created)
    assert sum(operation.prepare(created)) > 0
    Card.objects.filter(card_id="c3").delete()  # by a person, before the process was killed and replaced
    assert sum(rebuild_operation(created).prepare(created)) == 0
    assert Card.objects.count() == 4
    assert (created.lanes.get().changed, AuditLog.objects.filter(run=created).count()) == (5, 5)
    run_batches(created, NullListener(), Event())
    assert created.state == "succeeded"


def test_a_card_id_that_somebody_took_meanwhile_is_not_created_twice() -> None:
    one = upload([card("taken", title="Of the pack"), card("free")])
    Card.objects.create(card_id="taken", title="Of a person", pack_id="p")
    done = apply(one)
    assert dict(Card.objects.values_list("card_id", "title")) == {"taken": "Of a person", "free": "Cóndor"}
    assert [*rebuild_operation(done).get_notes(done)] == [
        "1 card was created.",
        "1 card was not created: it is there already, or others have their unique values.",
    ]


def test_two_uploads_of_the_same_cards_change_each_cell_once() -> None:
    Card.objects.create(card_id="a", title="A", pack_id="aves")
    first, second = upload([card("a", title="1"), card("b")]), upload([card("a", title="2"), card("b")])
    apply(first)
    done = apply(second)
    assert dict(Card.objects.values_list("card_id", "title")) == {"a": "1", "b": "Cóndor"}
    assert (done.state, done.lanes.get().changed) == ("succeeded", 0)


def test_a_maker_who_may_not_add_cards_any_more_is_refused() -> None:
    one = upload([card("a")])
    eve = User.objects.create_user("ada", is_staff=True)
    with pytest.raises(InvalidParams):
        create_run(RunRequest(ApplyChangeSet, "ada", {"change_set": one.change_set_id}))
    eve.user_permissions.add(*Permission.objects.filter(codename__in=["add_card", "change_card"]))
    created = create_run(RunRequest(ApplyChangeSet, "ada", {"change_set": one.change_set_id}))
    eve.user_permissions.clear()
    with pytest.raises(InvalidParams):
        run_batches(created, NullListener(), Event())
    created.refresh_from_db()
    assert (created.state, Card.objects.exists(), ChangeSet.objects.exists()) == ("failed", False, True)


def test_rows_to_create_count_for_the_second_person(settings: LazySettings) -> None:
    settings.OPS_APPROVAL_ROWS = 3
    one = upload([card(f"c{n}") for n in range(4)])
    User.objects.create_superuser("ada")
    request = RunRequest(ApplyChangeSet, "ada", {"change_set": one.change_set_id}, origin=Origin.ADMIN)
    assert (create_run(request).state, create_run(request).total) == ("awaiting_approval", 4)


def test_a_run_that_creates_rows_is_stopped_between_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is held, and its rate is limited, as between any other batches."""
    monkeypatch.setattr(created_rows, "BATCH_SIZE", 2)
    one, stop = upload([card(f"c{n}") for n in range(5)]), Event()
    User.objects.create_superuser("ada")
    run = create_run(RunRequest(ApplyChangeSet, "ada", {"change_set": one.change_set_id}))

    class Stopper(NullListener):
        def on_batch(self, run: Run, size: BatchSize) -> None:
            stop.set()

    assert run_batches(run, Stopper(), stop) == "paused"
    assert (Card.objects.count(), run.lanes.get().batches) == (2, 1)
    lifecycle.requeue(run)
    assert run_batches(run, NullListener(), Event()) == "succeeded"
    assert Card.objects.count() == 5
