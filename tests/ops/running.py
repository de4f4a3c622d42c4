"""How tests declare, execute and watch operations."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection, connections
from django.db.models import F, Model, QuerySet
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
    """Record a run's progress; after each batch, call ``after_batch`` with the number of batches so far."""

    def __init__(self, after_batch: Callable[[int], object] = lambda number: None) -> None:
        self.after_batch = after_batch
        self.batches = 0
        self.sizes: list[int] = []
        self.wait_reasons: list[str] = []
        self.hold_reasons: list[str] = []
        self.notes: list[str] = []

    def on_batch(self, run: Run, size: BatchSize) -> None:
        self.batches += 1
        self.sizes.append(size.rows)
        self.after_batch(self.batches)

    def on_retry(self, reason: str) -> None:
        self.wait_reasons.append(reason)

    def on_hold(self, run: Run) -> None:
        self.hold_reasons.append(run.held_reason)

    def on_note(self, message: str) -> None:
        self.notes.append(message)


def make_operation(
    rows: Callable[[], QuerySet[Any]] | QuerySet[Any],
    changes: Mapping[str, Any] | None = None,
    name: str = "trial",
    base: type[Operation] = Operation,
    **attributes: Any,
) -> type[Operation]:
    """Declare an operation over the model of the rows, set-based unless ``process`` is given."""
    queryset = rows if isinstance(rows, QuerySet) else rows()
    members = {
        "name": name,
        "model": queryset.model,
        "get_queryset": lambda self: (queryset if isinstance(rows, QuerySet) else rows()).all(),
        **({"get_changes": lambda self: changes} if changes is not None else {}),
        **attributes,
    }
    return type("Trial", (base,), members)


def make_row_operation(
    rows: QuerySet[Any], process: Callable[[list[Any]], Mapping[Any, Any]], *columns: str, **attributes: Any
) -> type[Operation]:
    return make_operation(rows, process=lambda self, batch: process(batch), columns=columns, **attributes)


# An operation that is declared in both ways: by get_changes() and by process().
MISSING = Thing.objects.filter(note=None)
FILL = make_operation(MISSING, {"note": F("name")})
FILL_EACH = make_row_operation(MISSING, lambda rows: {row.pk: {"note": row.name} for row in rows}, "note")


def parametrize_both(by_changes: type[Operation], by_process: type[Operation]) -> pytest.MarkDecorator:
    """Test an operation that is declared in both ways, as the parameter ``declared``."""
    return pytest.mark.parametrize("declared", [by_changes, by_process], ids=["changes", "process"])


BOTH = parametrize_both(FILL, FILL_EACH)


def create_run(declared: type[Operation], **options: Any) -> Run:
    return creation.create_run(RunRequest(declared, "tester", **options))


def execute_run(run: Run, monitor: RecordingMonitor | None = None, stop: Event | None = None) -> Run:
    run_batches(run, monitor or RecordingMonitor(), stop or Event())
    run.refresh_from_db()
    return run


def execute_operation(
    declared: type[Operation], monitor: RecordingMonitor | None = None, **options: Any
) -> Run:
    return execute_run(create_run(declared, **options), monitor)


def audited_changes(run: Run) -> dict[str, Any]:
    """The changes that the run audited, by object; fails if an object has two audit rows."""
    entries = list(AuditLog.objects.filter(run=run).values_list("object_id", "changes"))
    assert len(entries) == len(dict(entries))
    return dict(entries)


def errors_by_object(run: Run) -> dict[str, str]:
    return dict(run.failures.values_list("object_id", "error"))


def create_things(count: int, **values: Any) -> list[Thing]:
    return Thing.objects.bulk_create(Thing(name=f"t{number}", **values) for number in range(1, count + 1))


def primary_keys(rows: Iterable[Model]) -> set[str]:
    return {str(row.pk) for row in rows}


def execute_sql(statement: str, *params: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, params or None)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def hide_tables(*tables: str) -> Iterator[None]:
    """Rename tables, so that they are missing within the block."""
    for table in tables:
        execute_sql(f"ALTER TABLE {table} RENAME TO gone_{table}")
    try:
        yield
    finally:
        for table in tables:
            execute_sql(f"ALTER TABLE gone_{table} RENAME TO {table}")


@contextmanager
def override_connection(**settings: Any) -> Iterator[None]:
    """Replace Django's connection within the block: by one to another server, or of another role."""
    previous = connections["default"]
    other = previous.copy()
    other.settings_dict |= settings
    connections["default"] = other
    try:
        yield
    finally:
        other.close()
        connections["default"] = previous


def is_lock_awaited() -> bool:
    """Whether any session waits for a lock. Outside a transaction, which caches pg_stat_activity."""
    return bool(execute_sql(LOCK_WAIT_QUERY))


@contextmanager
def commit_when_awaited(other: "psycopg.Connection[Any]") -> Iterator[None]:
    """Commit the other session as soon as somebody waits for a lock."""

    def commit() -> None:
        wait_until(is_lock_awaited)
        other.commit()
        connection.close()

    thread = Thread(target=commit)
    thread.start()
    yield
    thread.join()


@contextmanager
def player() -> Iterator["psycopg.Connection[Any]"]:
    """Another session on the same database; what it leaves uncommitted is rolled back."""
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    with psycopg.connect(url.geturl()) as other:
        try:
            yield other
        finally:
            other.rollback()


def wait_until(condition: Callable[[], object], within: float = 60) -> None:
    """Return as soon as the condition holds; fail after ``within`` seconds."""
    timer, waited = Event(), 0.0
    while not condition():
        timer.wait(0.02)
        waited += 0.02
        assert waited < within, "waited in vain"


def run_jobs(queue: Queue) -> int:
    """Execute the queue's jobs until it is empty; return how many there were."""
    count = 0
    while len(queue):
        job = Job.fetch(queue.pop_job_id(), queue.connection)  # type: ignore[arg-type]
        job.func(*job.args)
        count += 1
    return count
