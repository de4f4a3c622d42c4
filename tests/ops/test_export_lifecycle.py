"""The transitions of an export: those of the table and no others."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from threading import Thread
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Now

from ops.export import jobs, queue
from ops.export.lifecycle import TRANSITIONS, transition
from ops.export.progress import TransferProgress
from ops.models import Export, ExportState
from tests.ops.running import is_lock_awaited, player, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

S = ExportState


def export_in(state: ExportState) -> Export:
    return Export.objects.create(asked={}, path="/e", performed_by="ada", state=state, attempts=1)


@pytest.mark.parametrize("origin", S)
def test_an_export_moves_as_the_table_says_and_not_otherwise(origin: ExportState) -> None:
    for to in S:
        export = export_in(origin)
        is_allowed = to in TRANSITIONS[origin]
        moved = transition(Export.objects.filter(pk=export.pk), to, error="changed")
        export.refresh_from_db()
        assert (moved, export.state) == ((1, to) if is_allowed else (0, origin))
        assert export.error == ("changed" if is_allowed else "")
        assert (export.finished_at is not None) == (is_allowed and not TRANSITIONS[to])


def test_the_table_is_the_designs() -> None:
    assert {
        S.QUEUED: {S.RUNNING, S.CANCELLED},
        S.RUNNING: {S.QUEUED, S.RUNNING, S.CANCELLING, S.SUCCEEDED, S.FAILED},
        S.CANCELLING: {S.CANCELLED, S.SUCCEEDED, S.FAILED},
        S.SUCCEEDED: set(),
        S.CANCELLED: set(),
        S.FAILED: set(),
    } == TRANSITIONS


def fail(owned: "QuerySet[Export]") -> None:
    jobs._finish(owned, S.FAILED, TransferProgress(), error="no room")


def succeed(owned: "QuerySet[Export]") -> None:
    jobs._finish(owned, S.SUCCEEDED, TransferProgress())


def halt(owned: "QuerySet[Export]") -> None:
    jobs._cancel_or_requeue(owned, TransferProgress())


def claim(owned: "QuerySet[Export]") -> None:
    jobs._claim(owned.get().pk, uuid4())


def cancel(owned: "QuerySet[Export]") -> None:
    with suppress(queue.ExportUnavailable):
        queue.cancel_export(owned.get())


def requeue_lost(owned: "QuerySet[Export]") -> None:
    owned.update(heartbeat_at=Now() - timedelta(minutes=1), attempts=queue.MAX_ATTEMPTS)
    queue.requeue_lost()


# What each state becomes; the others stay as they are.
VERBS: dict[Callable[["QuerySet[Export]"], None], dict[ExportState, ExportState]] = {
    claim: {S.QUEUED: S.RUNNING},
    succeed: {S.RUNNING: S.SUCCEEDED, S.CANCELLING: S.SUCCEEDED},
    fail: {S.RUNNING: S.FAILED, S.CANCELLING: S.FAILED},
    halt: {S.RUNNING: S.QUEUED, S.CANCELLING: S.CANCELLED},
    cancel: {S.QUEUED: S.CANCELLED, S.RUNNING: S.CANCELLING},
    requeue_lost: {S.RUNNING: S.FAILED, S.CANCELLING: S.CANCELLED},
}


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
@pytest.mark.parametrize("state", S)
def test_a_verb_brings_an_export_where_it_says_or_leaves_it(
    monkeypatch: pytest.MonkeyPatch, verb: Callable[["QuerySet[Export]"], None], state: ExportState
) -> None:
    monkeypatch.setattr(queue, "enqueue_export", lambda export: "")
    export = export_in(state)
    verb(Export.objects.filter(pk=export.pk))
    assert Export.objects.get().state == VERBS[verb].get(state, state)


@pytest.mark.parametrize(("age", "is_claimed"), [(timedelta(minutes=1), True), (timedelta(), False)])
def test_a_running_export_is_claimed_only_once_its_worker_is_lost(age: timedelta, is_claimed: bool) -> None:
    export = export_in(S.RUNNING)
    Export.objects.update(heartbeat_at=Now() - age)
    assert jobs._claim(export.pk, uuid4()) is is_claimed
    assert Export.objects.get().attempts == 1 + is_claimed


@pytest.mark.engine
def test_an_export_that_is_moved_in_the_same_moment_is_left_as_it_is() -> None:
    export, moved = export_in(S.RUNNING), []

    def finish() -> None:
        try:
            moved.append(transition(Export.objects.filter(pk=export.pk), S.SUCCEEDED))
        finally:
            connection.close()

    finishing = Thread(target=finish)
    with player() as other:
        other.execute("UPDATE ops_export SET state = %s WHERE id = %s", [S.CANCELLED, export.pk])
        finishing.start()
        wait_until(is_lock_awaited)
        other.commit()
    finishing.join(timeout=30)
    assert (moved, Export.objects.get().state) == ([0], S.CANCELLED)
