"""How tests declare, execute and watch operations."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

import psycopg
from django.db import connection, connections
from django.db.models import Model, QuerySet
from rq import Queue
from rq.job import Job

from ops.engine.batch_size import BatchSize
from ops.engine.loop import run_batches
from ops.models import AuditLog, Run
from ops.operations import Operation
from ops.runs import creation
from ops.runs.creation import RunRequest
from tests.trials.models import Thing

LOCK_WAIT_QUERY = (
    "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


class RecordingMonitor:
    """Counts the batches, and does ``then`` after each of them, with the number of it."""

    def __init__(self, then: Callable[[int], object] = lambda number: None) -> None:
        self.after_batch = then
        self.batches = 0
        self.sizes: list[int] = []
        self.wait_reasons: list[str] = []
        self.hold_reasons: list[str] = []
        self.notes: list[str] = []

    def batch(self, run: Run, size: BatchSize) -> None:
        self.batches += 1
        self.sizes.append(size.rows)
        self.after_batch(self.batches)

    def waiting(self, reason: str) -> None:
        self.wait_reasons.append(reason)

    def held(self, run: Run) -> None:
        self.hold_reasons.append(run.held_reason)

    def note(self, words: str) -> None:
        self.notes.append(words)


def make_operation(
    rows: Callable[[], QuerySet[Any]] | QuerySet[Any],
    changes: Mapping[str, Any] | None = None,
    name: str = "trial",
    base: type[Operation] = Operation,
    **attributes: Any,
) -> type[Operation]:
    """An operation over the model of the rows, set-based unless ``process`` is given."""
    made = rows if isinstance(rows, QuerySet) else rows()
    members = {
        "name": name,
        "model": made.model,
        "get_queryset": lambda self: (made if isinstance(rows, QuerySet) else rows()).all(),
        **({"get_changes": lambda self: changes} if changes is not None else {}),
        **attributes,
    }
    return type("Trial", (base,), members)


def make_row_operation(
    rows: QuerySet[Any], process: Callable[[list[Any]], Mapping[Any, Any]], *columns: str, **attributes: Any
) -> type[Operation]:
    return make_operation(rows, process=lambda self, found: process(found), columns=columns, **attributes)


def create_run(declared: type[Operation], **asked: Any) -> Run:
    return creation.create_run(RunRequest(declared, "tester", **asked))


def execute_run(run: Run, watched: RecordingMonitor | None = None, stop: Event | None = None) -> Run:
    run_batches(run, watched or RecordingMonitor(), stop or Event())
    run.refresh_from_db()
    return run


def execute_operation(
    declared: type[Operation], watched: RecordingMonitor | None = None, **asked: Any
) -> Run:
    return execute_run(create_run(declared, **asked), watched)


def audited_changes(run: Run) -> dict[str, Any]:
    """The changes that the run audited, by object; fails where an object has two rows."""
    told = list(AuditLog.objects.filter(run=run).values_list("object_id", "changes"))
    assert len(told) == len(dict(told))
    return dict(told)


def errors_by_object(run: Run) -> dict[str, str]:
    return dict(run.failures.values_list("object_id", "error"))


def create_things(count: int, **values: Any) -> list[Thing]:
    return Thing.objects.bulk_create(Thing(name=f"t{number}", **values) for number in range(1, count + 1))


def primary_keys(rows: list[Model]) -> set[str]:
    return {str(row.pk) for row in rows}


def execute_sql(statement: str, *params: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, params or None)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def hide_tables(*tables: str) -> Iterator[None]:
    """Let these tables be missing for a while."""
    for table in tables:
        execute_sql(f"ALTER TABLE {table} RENAME TO gone_{table}")
    try:
        yield
    finally:
        for table in tables:
            execute_sql(f"ALTER TABLE gone_{table} RENAME TO {table}")


@contextmanager
def override_connection(**settings: Any) -> Iterator[None]:
    """Let Django's connection be another one: another server, another role."""
    ours = connections["default"]
    theirs = ours.copy()
    theirs.settings_dict |= settings
    connections["default"] = theirs
    try:
        yield
    finally:
        theirs.close()
        connections["default"] = ours


def is_lock_awaited() -> bool:
    """Whether anybody waits for a lock. Not in a transaction, which would go on seeing what it saw first."""
    return bool(execute_sql(LOCK_WAIT_QUERY))


@contextmanager
def commit_when_awaited(other: "psycopg.Connection[Any]") -> Iterator[None]:
    """Once somebody waits, the other one commits."""

    def let_go() -> None:
        wait_until(is_lock_awaited)
        other.commit()
        connection.close()

    thread = Thread(target=let_go)
    thread.start()
    yield
    thread.join()


@contextmanager
def player() -> Iterator["psycopg.Connection[Any]"]:
    """Somebody else on the same database; what they leave uncommitted is rolled back."""
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    with psycopg.connect(url.geturl()) as other:
        try:
            yield other
        finally:
            other.rollback()


def wait_until(condition: Callable[[], object], within: float = 60) -> None:
    """Return as soon as the condition holds; fail when it never does."""
    pause, waited = Event(), 0.0
    while not condition():
        pause.wait(0.02)
        waited += 0.02
        assert waited < within, "waited in vain"


def run_jobs(queue: Queue) -> int:
    """Do what waits on the queue until nothing waits; how many jobs that were."""
    done = 0
    while len(queue):
        job = Job.fetch(queue.pop_job_id(), queue.connection)  # type: ignore[arg-type]
        job.func(*job.args)
        done += 1
    return done
