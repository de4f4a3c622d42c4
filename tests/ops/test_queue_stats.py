"""What waits, who works and what runs: the same figures for the endpoint, the command and Prometheus."""

import json
import socket
from collections.abc import Iterator
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
import redis
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families
from rq import Queue, SimpleWorker, Worker

from ops.health.hold import hold_run
from ops.management.commands.queue_stats import Command
from ops.models import Lane
from ops.queue import liveness
from ops.runs import lifecycle
from ops.stats import queues as stats
from tests.ops.conftest import RegisterOperation
from tests.ops.running import (
    RecordingMonitor,
    create_run,
    create_things,
    execute_operation,
    execute_run,
    hide_tables,
    make_operation,
    override_connection,
)
from tests.trials.models import Thing

pytestmark = pytest.mark.django_db(transaction=True)

STATS = "/api/admin/queue/stats"
KEY = {"x-admin-key": "test"}
FILL = make_operation(Thing.objects.filter(note=None), {"note": "x"}, name="fill")
AWAY = {"default": {"URL": "redis://:hidden@127.0.0.1:9/0"}}


@pytest.fixture
def jobs(redis_server: "redis.Redis") -> Queue:
    """Of each kind another number: 1 completed, 2 failed, 3 waiting, 4 delayed; and one worker."""
    queue = Queue("default", connection=redis_server)
    queue.enqueue("math.sqrt", 4, result_ttl=600)
    for _ in range(2):
        queue.enqueue("math.sqrt", "four")
    SimpleWorker([queue], connection=redis_server).work(burst=True, logging_level="CRITICAL")
    for _ in range(3):
        queue.enqueue("math.sqrt", 9)
    for _ in range(4):
        queue.enqueue_in(timedelta(hours=1), "math.sqrt", 9)
    Worker([queue], connection=redis_server).register_birth()
    return queue


@pytest.fixture
def _no_database() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        connection.close()
        patch.setitem(connection.settings_dict, "PORT", "9")
        yield
        connection.close()


def asked(client: Client, path: str = STATS) -> Any:
    response = client.get(path, headers=KEY)
    return response.status_code, response.json()


def scraped(client: Client) -> dict[tuple[str, ...], float]:
    """The samples, each by its name and the values of its labels, sorted by label."""
    page = client.get("/metrics", headers={"Authorization": "Bearer test"})
    assert page.status_code == 200
    families = text_string_to_metric_families(page.content.decode())
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def test_the_endpoint_counts_jobs_by_what_they_are(client: Client, jobs: Queue) -> None:
    status, told = asked(client)
    counts = {"waiting": 3, "active": 0, "completed": 1, "failed": 2, "delayed": 4, "total": 10}
    assert status == 200
    assert told.pop("oldest_waiting_seconds") >= 0
    assert told == {**counts, "workers": 1, "queues": {"default": counts}, "runs": []}


def test_every_queue_of_the_settings_is_counted(client: Client, jobs: Queue, settings: Any) -> None:
    settings.RQ_QUEUES = {"default": settings.RQ_QUEUES["default"], "other": settings.RQ_QUEUES["default"]}
    Queue("other", connection=jobs.connection).enqueue("math.sqrt", 9)
    _, told = asked(client)
    assert (told["waiting"], told["workers"]) == (4, 1)
    assert [queue["waiting"] for queue in told["queues"].values()] == [3, 1]


def test_to_look_changes_nothing(jobs: Queue) -> None:
    [waiting, *_] = jobs.get_job_ids()
    jobs.connection.zadd(jobs.started_job_registry.key, {f"{waiting}:gone": 1})  # RQ would clean that up
    before = {key: jobs.connection.dump(key) for key in jobs.connection.scan_iter()}
    assert stats.read_stats().counts()["active"] == 1
    assert {key: jobs.connection.dump(key) for key in jobs.connection.scan_iter()} == before


def test_active_runs_are_told_with_their_progress(
    client: Client, redis_server: "redis.Redis", declare: RegisterOperation
) -> None:
    create_things(8)
    run = create_run(declare(FILL), batch_size=2)
    looked: list[Any] = []
    execute_run(run, RecordingMonitor(lambda number: looked.append(asked(client)[1]["runs"])))
    [first], *_ = looked
    told = [first[name] for name in ("run", "operation", "state", "total", "changed", "percent")]
    assert told == [run.pk, "fill", "running", 8, 2, 25.0]
    assert asked(client)[1]["runs"] == []


def test_without_redis_the_runs_are_still_told(
    client: Client, declare: RegisterOperation, settings: Any
) -> None:
    run = create_run(declare(FILL))
    settings.RQ_QUEUES = AWAY
    status, told = asked(client)
    assert status == 503
    assert told["error"].startswith("Redis is unavailable: ")
    assert "hidden" not in str(told)
    assert (told["waiting"], told["workers"], told["queues"]) == (None, None, None)
    assert [found["run"] for found in told["runs"]] == [run.pk]


def test_a_redis_that_does_not_answer_is_away(
    client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "_REDIS_TIMEOUT", timedelta(milliseconds=100))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.RQ_QUEUES = {"default": {"URL": f"redis://127.0.0.1:{silent.getsockname()[1]}/0"}}
        status, told = asked(client)
    assert (status, told["error"]) == (503, "Redis is unavailable: Timeout reading from socket")


@pytest.mark.usefixtures("_no_database")
def test_without_the_database_the_queue_is_still_told(client: Client, jobs: Queue) -> None:
    status, told = asked(client)
    assert status == 503
    assert told["error"].startswith("PostgreSQL is unavailable: ")
    assert (told["waiting"], told["runs"]) == (3, None)
    sample = scraped(client)
    assert (sample["kyndo_up", "database"], sample["kyndo_up", "redis"]) == (0, 1)
    assert sample["kyndo_jobs", "default", "waiting"] == 3


@pytest.mark.parametrize("table", ["ops_run", "ops_lane"])
def test_a_table_that_is_missing_is_no_database_that_is_away(
    client: Client, jobs: Queue, declare: RegisterOperation, table: str
) -> None:
    create_run(declare(FILL))
    with hide_tables(table):
        status, told = asked(client)
        help = client.get("/metrics", headers=KEY).content.decode().splitlines()[0]
        sample = scraped(client)
    assert (status, told["waiting"], told["runs"]) == (503, 3, None)
    assert told["error"].splitlines()[:2] == [
        f'The database\'s schema does not match this code: relation "{table}" does not exist',
        f"Missing, although all migrations are recorded as applied: {table}.",
    ]
    assert told["error"].splitlines()[2] in help.replace("\\n", "\n")
    assert (sample["kyndo_up", "database"], sample["kyndo_up", "redis"]) == (0, 1)
    assert sample["kyndo_jobs", "default", "waiting"] == 3


def test_prometheus_is_answered_where_only_past_runs_cannot_be_told(client: Client, jobs: Queue) -> None:
    with hide_tables("ops_lane"):
        assert scraped(client)["kyndo_up", "database"] == 0


def test_the_command_asks_for_the_migrations_that_a_database_lacks(
    jobs: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    with override_connection(NAME="postgres"), pytest.raises(CommandError) as refused:
        call_command("queue_stats")
    first, second = str(refused.value).splitlines()
    assert 'relation "ops_run" does not exist' in first
    assert second == "Type: manage.py migrate"
    assert capsys.readouterr().out.startswith("queue ")


@pytest.mark.parametrize("path", [STATS, "/metrics"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"x-admin-key": ""}, 401),
        ({"Authorization": "Basic dGVzdA=="}, 401),
        ({"x-admin-key": "tes"}, 403),
        ({"x-admin-key": "tést"}, 403),
        ({"Authorization": "Bearer wrong"}, 403),
        ({"x-admin-key": "test"}, 200),
        ({"Authorization": "bearer test"}, 200),
    ],
)
def test_only_who_has_the_key_is_answered(
    client: Client, redis_server: "redis.Redis", path: str, headers: dict[str, str], status: int
) -> None:
    response = client.get(path, headers=headers)
    assert response.status_code == status
    assert "no-store" in response["Cache-Control"]
    assert not response.cookies


def test_a_key_beyond_ascii_is_compared_by_bytes(client: Client, redis_server: Any, settings: Any) -> None:
    settings.ADMIN_KEY = "clé"
    sent = "clé".encode().decode("latin-1")  # as WSGI tells it
    assert client.get(STATS, headers={"x-admin-key": sent}).status_code == 200
    assert client.get(STATS, headers={"x-admin-key": "cle"}).status_code == 403


@pytest.mark.parametrize("path", [STATS, "/metrics", "/healthz"])
def test_nothing_but_reading_is_allowed(path: str) -> None:
    response = Client(enforce_csrf_checks=True).post(path, headers=KEY)
    assert (response.status_code, response["Allow"]) == (405, "GET, HEAD")


def test_prometheus_reads_what_runs_did(
    client: Client, jobs: Queue, declare: RegisterOperation, trigger: Any
) -> None:
    trigger("trials_thing", "IF NEW.name = 't3' THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW;")
    create_things(5)
    run = execute_operation(declare(FILL), batch_size=1)
    active = create_run(FILL)
    lifecycle.start(active)
    sample = scraped(client)
    lane = Lane.objects.get(run=run)
    assert lane.busy > timedelta()
    assert sample["kyndo_rows_changed_total", "fill"] == 4
    assert sample["kyndo_rows_failed", "fill"] == 1
    assert sample["kyndo_batch_duration_seconds_count", "fill"] == lane.batches >= 4
    assert sample["kyndo_batch_duration_seconds_sum", "fill"] == pytest.approx(lane.busy.total_seconds())
    assert sample["kyndo_runs", "finished_with_failures"] == sample["kyndo_runs", "running"] == 1
    assert sample["kyndo_active_run_rows", "fill", str(active.pk)] == 1
    assert sample["kyndo_active_run_held", "fill", str(active.pk)] == 0
    assert sample["kyndo_jobs", "default", "delayed"] == 4
    assert sample["kyndo_workers",] == sample["kyndo_up", "redis"] == 1


def test_prometheus_is_told_that_redis_is_away(client: Client, settings: Any) -> None:
    settings.RQ_QUEUES = AWAY
    sample = scraped(client)
    assert (sample["kyndo_up", "database"], sample["kyndo_up", "redis"]) == (1, 0)
    assert ("kyndo_workers",) not in sample


def test_the_command_shows_queues_workers_and_runs(
    jobs: Queue, declare: RegisterOperation, capsys: pytest.CaptureFixture[str]
) -> None:
    create_things(2)
    run = create_run(declare(FILL))
    call_command("queue_stats")
    queues, default, workers, _, heads, shown = capsys.readouterr().out.splitlines()
    assert queues.split() == ["queue", *stats.COUNT_FIELDS]
    assert default.split() == ["default", "3", "0", "1", "2", "4", "10"]
    assert workers.startswith("1 worker alive, the oldest job has waited ")
    assert heads.split() == ["run", "operation", "state", "changed", "of", "done", "failed", "rows/s"]
    assert shown.split() == [str(run.pk), "fill", "queued", "0", "2", "0", "%", "0", "0"]
    call_command("queue_stats", "--json")
    assert json.loads(capsys.readouterr().out)["total"] == 10


def test_the_command_without_redis_says_so_in_one_line(
    settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.RQ_QUEUES = AWAY
    with pytest.raises(CommandError, match=r"^Redis is unavailable: [^\n]*$") as refused:
        call_command("queue_stats")
    assert refused.value.returncode == 1
    assert capsys.readouterr().out == "No run is active.\n"


def test_a_run_that_is_held_says_by_what(
    client: Client,
    redis_server: "redis.Redis",
    declare: RegisterOperation,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = create_run(declare(FILL))
    lifecycle.start(run)
    hold_run(run, "replica-lag: 9 s", timedelta(hours=1))
    assert [found["held"] for found in asked(client)[1]["runs"]] == ["replica-lag: 9 s"]
    assert scraped(client)["kyndo_active_run_held", "fill", str(run.pk)] == 1
    call_command("queue_stats")
    *_, shown, why = capsys.readouterr().out.splitlines()
    assert shown.split()[2] == "held"
    assert why == f"Run {run.pk} is held by replica-lag: 9 s"


class Twice(Event):
    """Lets a loop go round twice."""

    rounds = 0

    def wait(self, timeout: float | None = None) -> bool:
        self.rounds += 1
        if self.rounds == 2:
            self.set()
        return self.is_set()


def test_watching_goes_on_while_redis_is_away_and_until_it_is_stopped(
    redis_server: "redis.Redis", settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.RQ_QUEUES = AWAY
    Command().watch(True, Twice())
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [found["error"][:21] for found in told] == ["Redis is unavailable:"] * 2
