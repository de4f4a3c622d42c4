"""Exports that workers write: one job each, which can be cancelled, and starts again when lost."""

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from django.conf import LazySettings
from django.core.management import CommandError
from django.db import connection
from django.utils import timezone
from rq import Queue

from cards.models import Asset, Card
from ops.export.jobs import perform
from ops.models import AuditLog, Export
from ops.operations.scope import Scope
from ops.queue.liveness import connect_queue
from ops.workers.reaper import reap
from tests.cards.conftest import run
from tests.cards.nasty import fill
from tests.conftest import Manage
from tests.ops.running import run_jobs, wait_until
from tests.processes import kill_tree

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _own_root(settings: LazySettings, tmp_path: Path) -> None:
    settings.EXPORT_ROOT = tmp_path / "root"


@pytest.fixture
def queue(redis_server: "redis.Redis") -> Queue:
    fill()
    return connect_queue()


@contextmanager
def cards_locked() -> Iterator[None]:
    """Nobody can read the cards, so an export waits."""
    with psycopg.connect(Manage().database_url) as other:
        other.execute("LOCK TABLE cards IN ACCESS EXCLUSIVE MODE")
        yield


def test_one_job_writes_the_export_and_all_its_files_are_fetched(queue: Queue, tmp_path: Path) -> None:
    assert run("export_json", "--queue", "--as", "ada").splitlines()[0] == (
        f"Export {Export.objects.get().pk} is queued. A worker will write it to {Export.objects.get().path}."
    )
    reap()  # its job is queued already: no second one
    assert run_jobs(queue) == 1
    export = Export.objects.get()
    assert (export.state, export.performed_by, export.rows, export.error) == ("succeeded", "ada", 10, "")
    assert Path(export.path).parent.stat().st_mode & 0o077 == 0
    run("exports", "fetch", export.pk, "--output", tmp_path / "copy")
    assert json.loads((tmp_path / "copy" / "export_summary.json").read_bytes()) == export.summary
    assert run("verify_export", tmp_path / "copy").endswith("Every file is as it was exported.")
    assert [str(export.pk), "succeeded", "10"] in [line.split()[:3] for line in run("exports").splitlines()]
    perform(export.pk)
    assert Export.objects.get().attempts == 1


def test_files_that_changed_since_the_export_are_not_fetched(queue: Queue, tmp_path: Path) -> None:
    run("export_json", "--queue")
    run_jobs(queue)
    export, copy = Export.objects.get(), tmp_path / "copy"
    run("exports", "fetch", export.pk, "--output", copy)
    contents = {file.name: file.read_bytes() for file in copy.iterdir()}
    for name, changed, reason in (
        ("cards.json", contents["cards.json"].replace(b'"id":', b'"iD":', 1), "its SHA-256 is "),
        ("cards.json", contents["cards.json"][:-9], "bytes, not "),
        ("assets.json", None, "it is missing"),
        ("export_summary.json", None, "it is missing"),
        (
            "export_summary.json",
            contents["export_summary.json"].replace(b": 3,", b": 4,", 1),
            "not the summary in the database",
        ),
        ("export_summary.json", b"{", "not the summary in the database"),
    ):
        damaged = Path(export.path) / name
        damaged.unlink()
        if changed is not None:
            damaged.write_bytes(changed)
        with pytest.raises(CommandError, match=f"^{name} of export .*{reason}") as raised:
            run("exports", "fetch", export.pk, "--output", copy, "--overwrite")
        assert raised.value.returncode == 1
        assert {file.name: file.read_bytes() for file in copy.iterdir()} == contents
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["copy", "root"]
        damaged.write_bytes(contents[name])
    run("exports", "fetch", export.pk, "--output", copy, "--overwrite")


def test_a_queued_export_is_cancelled_at_once_and_a_running_one_soon(queue: Queue, tmp_path: Path) -> None:
    run("export_json", "--queue")
    first = Export.objects.get()
    run("exports", "cancel", first.pk)
    run_jobs(queue)
    run("export_json", "--queue")
    second = Export.objects.get(state="queued")
    with cards_locked():
        thread = threading.Thread(target=lambda: (run_jobs(queue), connection.close()))
        thread.start()
        wait_until(lambda: Export.objects.filter(pk=second.pk, state="running").exists())
        wait_until(lambda: "beat" in {each.name for each in threading.enumerate()})  # it notices a cancel
        run("exports", "cancel", second.pk)
        assert Export.objects.get(pk=second.pk).state == "cancelling"
        wait_until(lambda: "beat" not in {each.name for each in threading.enumerate()})
    thread.join()
    assert set(Export.objects.values_list("state", flat=True)) == {"cancelled"}
    assert list((tmp_path / "root").iterdir()) == []
    with pytest.raises(CommandError, match="is already cancelled"):
        run("exports", "cancel", second.pk)
    with pytest.raises(CommandError, match="is cancelled, so there is nothing to fetch"):
        run("exports", "fetch", second.pk, "--output", tmp_path / "copy")


def test_an_export_whose_worker_is_killed_starts_again(queue: Queue, manage: Manage, tmp_path: Path) -> None:
    root = tmp_path / "root"
    run("export_json", "--queue")
    with cards_locked():
        with (tmp_path / "log").open("w") as log:
            worker = manage.popen("rqworker", stdout=log, stderr=log, env={"EXPORT_ROOT": str(root)})
        wait_until(lambda: list(root.glob(".*.partial")))
        kill_tree(worker.pid)
        worker.wait()
    reap()
    assert len(queue) == 0  # its heartbeat is recent
    Export.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=1))
    reap()
    assert run_jobs(queue) == 1
    export = Export.objects.get()
    assert (export.state, export.attempts) == ("succeeded", 2)
    assert list(root.iterdir()) == [Path(export.path)]


def test_an_export_that_is_lost_three_times_fails(queue: Queue) -> None:
    run("export_json", "--queue")
    Export.objects.update(state="running", attempts=3, heartbeat_at=timezone.now() - timedelta(minutes=1))
    reap()
    export = Export.objects.get()
    assert (export.state, export.error) == ("failed", "The worker was lost 3 times. Its log may say why.")


def test_an_export_to_a_locked_folder_waits_until_it_is_enqueued_again(queue: Queue, tmp_path: Path) -> None:
    run("export_json", "--queue", "--output", tmp_path / "e")
    (tmp_path / ".e.partial").mkdir()
    other = os.open(tmp_path / ".e.partial", os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    run_jobs(queue)
    assert (Export.objects.get().state, len(queue)) == ("queued", 0)
    os.close(other)
    reap()
    run_jobs(queue)
    assert (Export.objects.get().state, Export.objects.get().attempts) == ("succeeded", 1)


def test_a_number_used_again_after_a_restore_gets_another_folder(queue: Queue) -> None:
    run("export_json", "--queue")
    run_jobs(queue)
    first = Export.objects.get()
    Export.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval(pg_get_serial_sequence('ops_export', 'id'), %s, false)", [first.pk])
    run("export_json", "--queue")
    run_jobs(queue)
    assert list(Export.objects.values_list("pk", "state", "error")) == [(first.pk, "succeeded", "")]


def test_an_export_that_cannot_be_written_fails_with_its_reason(queue: Queue, tmp_path: Path) -> None:
    run("export_json", "--queue", "--output", tmp_path / "e")
    (tmp_path / "e").mkdir()
    run_jobs(queue)
    export = Export.objects.get()
    assert export.state == "failed"
    assert export.error == f"{tmp_path}/e exists. Name another folder, or replace it with --overwrite."
    with pytest.raises(CommandError, match="exists"):
        run("export_json", "--queue", "--output", tmp_path / "e")


@pytest.mark.parametrize("by_keys", [False, True])
def test_an_export_of_some_cards_has_their_assets_and_audit_rows(queue: Queue, by_keys: bool) -> None:
    from ops.export.queue import list_files, open_file, request_export
    from ops.export.request import ExportRequest

    first = Card.objects.order_by("pk")[0]
    other = Card.objects.order_by("pk")[1]
    Asset.objects.create(
        asset_key="o", asset_type="t", file_path="f", file_size=1, mime_type="a/b", card=other
    )
    for card in (first, other):
        AuditLog.objects.create(
            action="a", object_type="cards.card", object_id=str(card.pk), performed_by="p", changes={}
        )
    scope = Scope.of_keys([other.pk]) if by_keys else Scope({"card_id": other.card_id})
    export, _ = request_export(ExportRequest(scope=scope), "ada")
    run_jobs(queue)
    export.refresh_from_db()
    contents: dict[str, Any] = {}
    for name in list_files(export):
        with open_file(export, name) as file:
            contents[name] = json.load(file)
    assert [row["id"] for row in contents["cards.json"]] == [other.pk]
    assert [row["asset_key"] for row in contents["assets.json"]] == ["o"]
    assert {row["object_id"] for row in contents["audit_logs.json"]} == {str(other.pk)}
    assert len(contents["presentation_rules.json"]) == 2
