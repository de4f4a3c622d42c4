"""A worker killed while it stages an upload, and while it applies one: nothing is half, and all is there."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import redis
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.db import connection

from cards.models import Card
from ops.bulk_load import MAX_ATTEMPTS
from ops.engine.loop import run_batches
from ops.models import AuditLog, ChangeSet, StagedChange, Upload
from ops.operations import ApplyChangeSet, prepared_rows
from ops.queue.enqueue import enqueue_run
from ops.queue.liveness import connect_queue
from ops.runs.creation import RunRequest, create_run
from ops.uploads import jobs
from ops.uploads import queue as uploads
from ops.workers.jobs import NullListener
from tests.cards.conftest import card
from tests.conftest import Manage
from tests.ops.running import execute_sql, is_lock_awaited, player, run_jobs, wait_until
from tests.processes import kill_tree

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("rules"), pytest.mark.long]


@pytest.fixture(autouse=True)
def _root(settings: LazySettings, tmp_path: Path) -> None:
    settings.UPLOAD_ROOT = tmp_path / "uploads"
    User.objects.create_superuser("ada")


def kill_waiting_worker(manage: Manage, log: Path) -> None:
    """Start a worker, and kill it once it waits for a lock."""
    with log.open("w") as file:
        worker = manage.popen("rqworker", "default", stdout=file, stderr=file)
        try:
            wait_until(is_lock_awaited)
        finally:
            kill_tree(worker.pid)
            worker.wait()


def has_server_noticed() -> bool:
    """Whether no session of the killed worker is left: one that waited for a lock first takes it."""
    worker = "application_name LIKE 'kyndo worker%' OR application_name LIKE 'kyndo run%'"
    return not execute_sql(f"SELECT FROM pg_stat_activity WHERE datname = current_database() AND ({worker})")


def upload(rows: list[dict[str, Any]]) -> Upload:
    content = json.dumps(rows).encode()
    return uploads.request_upload(Card, "pack.json", len(content), [content], "ada")


def test_a_worker_killed_while_it_stages_leaves_the_waiting_upload(
    manage: Manage, redis_server: "redis.Redis", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_ROWS_AT_ONCE", 1_000)
    one = upload([card(f"c{n}") for n in range(1_001)])
    with player() as other:
        other.execute("BEGIN; LOCK TABLE ops_staged_change IN SHARE MODE")
        kill_waiting_worker(manage, tmp_path / "log")
        other.execute("ROLLBACK")
    wait_until(has_server_noticed)
    one.refresh_from_db()
    assert (one.state, StagedChange.objects.count(), ChangeSet.objects.count()) == ("waiting", 0, 0)
    jobs.perform(one.pk)
    one.refresh_from_db()
    assert (one.state, one.created, StagedChange.objects.count()) == ("staged", 1_001, 1_001)


def test_a_worker_killed_while_it_creates_rows_creates_each_once(
    manage: Manage, redis_server: "redis.Redis", tmp_path: Path
) -> None:
    Card.objects.create(card_id="old", title="Old", pack_id="p")
    one = upload([*(card(f"c{n}") for n in range(2_500)), card("old", title="New", packId="p")])
    created = create_run(RunRequest(ApplyChangeSet, "ada", {"change_set": one.change_set_id}, workers=1))
    enqueue_run(created)
    with player() as other:
        # The second batch waits for somebody who has not committed a card of this id.
        other.execute("BEGIN; INSERT INTO cards (card_id, title, pack_id) VALUES ('c2400', 'Theirs', 'p')")
        kill_waiting_worker(manage, tmp_path / "log")
        assert 0 < Card.objects.filter(card_id__startswith="c").count() < 2_500
        other.execute("ROLLBACK")
    wait_until(has_server_noticed)
    enqueue_run(created)
    run_jobs(connect_queue())
    created.refresh_from_db()
    assert (created.state, created.lanes.get().changed) == ("succeeded", 2_501)
    assert AuditLog.objects.filter(run=created).count() == 2_501
    assert Card.objects.count() == 2_501
    assert Card.objects.get(card_id="old").title == "New"


def test_a_process_waits_for_its_twin_however_long_that_creates_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A killed worker's child may live on, and a run may have many workers."""
    monkeypatch.setattr(prepared_rows, "LOCK_TIMEOUT", timedelta(milliseconds=10))
    one = upload([card(f"c{n}") for n in range(3)])
    run = create_run(RunRequest(ApplyChangeSet, "ada", {"change_set": one.change_set_id}))
    tries: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "FOR UPDATE" in sql and "ops_lane" in sql:
            tries.append(sql)
        return execute(sql, params, many, context)

    def work() -> None:
        with connection.execute_wrapper(note):
            run_batches(run, NullListener(), Event())
        connection.close()

    with player() as twin, ThreadPoolExecutor(1) as pool:
        twin.execute("SELECT FROM ops_lane WHERE run_id = %s FOR UPDATE", [run.pk])
        done = pool.submit(work)
        wait_until(lambda: len(tries) > MAX_ATTEMPTS or done.done())
        twin.rollback()
        done.result()
    assert (run.state, Card.objects.count()) == ("succeeded", 3)
