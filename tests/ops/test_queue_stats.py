"""Queues, workers and active runs: the same figures in the endpoint, the command and Prometheus."""

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
UNAVAILABLE = {"default": {"URL": "redis://:hidden@127.0.0.1:9/0"}}


@pytest.fixture
def jobs(redis_server: "redis.Redis") -> Queue:
    """A queue with 1 completed, 2 failed, 3 waiting and 4 delayed jobs, and one worker."""
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


def fetch_stats(client: Client, path: str = STATS) -> Any:
    response = client.get(path, headers=KEY)
    return response.status_code, response.json()


def scrape(client: Client) -> dict[tuple[str, ...], float]:
    """Return the samples by name and label values, in the order of the labels."""
    page = client.get("/metrics", headers={"Authorization": "Bearer test"})
    assert page.status_code == 200
    families = text_string_to_metric_families(page.content.decode())
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def test_the_endpoint_counts_jobs_by_state(client: Client, jobs: Queue) -> None:
    status, body = fetch_stats(client)
    counts = {"waiting": 3, "active": 0, "completed": 1, "failed": 2, "delayed": 4, "total": 10}
    assert status == 200
    assert body.pop("oldest_waiting_seconds") >= 0
    assert body == {**counts, "workers": 1, "queues": {"default": counts}, "runs": []}


def test_every_queue_of_the_settings_is_counted(client: Client, jobs: Queue, settings: Any) -> None:
    settings.RQ_QUEUES = {"default": settings.RQ_QUEUES["default"], "other": settings.RQ_QUEUES["default"]}
    Queue("other", connection=jobs.connection).enqueue("math.sqrt", 9)
    _, body = fetch_stats(client)
    assert (body["waiting"], body["workers"]) == (4, 1)
    assert [queue["waiting"] for queue in body["queues"].values()] == [3, 1]


def test_reading_changes_nothing(jobs: Queue) -> None:
    [waiting, *_] = jobs.get_job_ids()
    jobs.connection.zadd(jobs.started_job_registry.key, {f"{waiting}:gone": 1})  # RQ would clean that up
    before = {key: jobs.connection.dump(key) for key in jobs.connection.scan_iter()}
    assert stats.read_stats().counts()["active"] == 1
    assert {key: jobs.connection.dump(key) for key in jobs.connection.scan_iter()} == before


def test_active_runs_are_listed_with_their_progress(
    client: Client, redis_server: "redis.Redis", declare: RegisterOperation
) -> None:
    create_things(8)
    run = create_run(declare(FILL), batch_size=2)
    listed: list[Any] = []
    execute_run(run, RecordingMonitor(lambda number: listed.append(fetch_stats(client)[1]["runs"])))
    [first], *_ = listed
    values = [first[name] for name in ("run", "operation", "state", "total", "changed", "percent")]
    assert values == [run.pk, "fill", "running", 8, 2, 25.0]
    assert fetch_stats(client)[1]["runs"] == []


def test_without_redis_the_runs_are_still_listed(
    client: Client, declare: RegisterOperation, settings: Any
) -> None:
    run = create_run(declare(FILL))
    settings.RQ_QUEUES = UNAVAILABLE
    status, body = fetch_stats(client)
    assert status == 503
    assert body["error"].startswith("Redis is unavailable: ")
    assert "hidden" not in str(body)
    assert (body["waiting"], body["workers"], body["queues"]) == (None, None, None)
    assert [row["run"] for row in body["runs"]] == [run.pk]


def test_a_redis_that_does_not_respond_is_unavailable(
    client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "_REDIS_TIMEOUT", timedelta(milliseconds=100))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.RQ_QUEUES = {"default": {"URL": f"redis://127.0.0.1:{silent.getsockname()[1]}/0"}}
        status, body = fetch_stats(client)
    assert (status, body["error"]) == (503, "Redis is unavailable: Timeout reading from socket")


@pytest.mark.usefixtures("_no_database")
def test_without_the_database_the_jobs_are_still_counted(client: Client, jobs: Queue) -> None:
    status, body = fetch_stats(client)
    assert status == 503
    assert body["error"].startswith("PostgreSQL is unavailable: ")
    assert (body["waiting"], body["runs"]) == (3, None)
    samples = scrape(client)
    assert (samples["kyndo_up", "database"], samples["kyndo_up", "redis"]) == (0, 1)
    assert samples["kyndo_jobs", "default", "waiting"] == 3


@pytest.mark.parametrize("table", ["ops_run", "ops_lane"])
def test_a_missing_table_is_reported_as_such(
    client: Client, jobs: Queue, declare: RegisterOperation, table: str
) -> None:
    create_run(declare(FILL))
    with hide_tables(table):
        status, body = fetch_stats(client)
        help_line = client.get("/metrics", headers=KEY).content.decode().splitlines()[0]
        samples = scrape(client)
    assert (status, body["waiting"], body["runs"]) == (503, 3, None)
    assert body["error"].splitlines()[:2] == [
        f'The database\'s schema does not match this code: relation "{table}" does not exist',
        f"Missing, although all migrations are recorded as applied: {table}.",
    ]
    assert body["error"].splitlines()[2] in help_line.replace("\\n", "\n")
    assert (samples["kyndo_up", "database"], samples["kyndo_up", "redis"]) == (0, 1)
    assert samples["kyndo_jobs", "default", "waiting"] == 3


def test_metrics_are_served_where_only_past_runs_cannot_be_read(client: Client, jobs: Queue) -> None:
    with hide_tables("ops_lane"):
        assert scrape(client)["kyndo_up", "database"] == 0


def test_the_command_says_to_migrate_a_database_without_tables(
    jobs: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    with override_connection(NAME="postgres"), pytest.raises(CommandError) as raised:
        call_command("queue_stats")
    first, second = str(raised.value).splitlines()
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
def test_the_endpoints_require_the_key(
    client: Client, redis_server: "redis.Redis", path: str, headers: dict[str, str], status: int
) -> None:
    response = client.get(path, headers=headers)
    assert response.status_code == status
    assert "no-store" in response["Cache-Control"]
    assert not response.cookies


def test_a_key_beyond_ascii_is_compared_by_bytes(client: Client, redis_server: Any, settings: Any) -> None:
    settings.ADMIN_KEY = "clé"
    sent = "clé".encode().decode("latin-1")  # as WSGI decodes it
    assert client.get(STATS, headers={"x-admin-key": sent}).status_code == 200
    assert client.get(STATS, headers={"x-admin-key": "cle"}).status_code == 403


@pytest.mark.parametrize("path", [STATS, "/metrics", "/healthz"])
def test_only_get_and_head_are_allowed(path: str) -> None:
    response = Client(enforce_csrf_checks=True).post(path, headers=KEY)
    assert (response.status_code, response["Allow"]) == (405, "GET, HEAD")


def test_metrics_have_the_results_of_runs(
    client: Client, jobs: Queue, declare: RegisterOperation, trigger: Any
) -> None:
    trigger("trials_thing", "IF NEW.name = 't3' THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW;")
    create_things(5)
    run = execute_operation(declare(FILL), batch_size=1)
    active = create_run(FILL)
    lifecycle.start(active)
    samples = scrape(client)
    lane = Lane.objects.get(run=run)
    assert lane.busy > timedelta()
    assert samples["kyndo_rows_changed_total", "fill"] == 4
    assert samples["kyndo_rows_failed", "fill"] == 1
    assert samples["kyndo_batch_duration_seconds_count", "fill"] == lane.batches >= 4
    assert samples["kyndo_batch_duration_seconds_sum", "fill"] == pytest.approx(lane.busy.total_seconds())
    assert samples["kyndo_runs", "finished_with_failures"] == samples["kyndo_runs", "running"] == 1
    assert samples["kyndo_active_run_rows", "fill", str(active.pk)] == 1
    assert samples["kyndo_active_run_held", "fill", str(active.pk)] == 0
    assert samples["kyndo_jobs", "default", "delayed"] == 4
    assert samples["kyndo_workers",] == samples["kyndo_up", "redis"] == 1


def test_metrics_say_that_redis_is_unavailable(client: Client, settings: Any) -> None:
    settings.RQ_QUEUES = UNAVAILABLE
    samples = scrape(client)
    assert (samples["kyndo_up", "database"], samples["kyndo_up", "redis"]) == (1, 0)
    assert ("kyndo_workers",) not in samples


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


def test_the_command_reports_an_unavailable_redis_in_one_line(
    settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.RQ_QUEUES = UNAVAILABLE
    with pytest.raises(CommandError, match=r"^Redis is unavailable: [^\n]*$") as raised:
        call_command("queue_stats")
    assert raised.value.returncode == 1
    assert capsys.readouterr().out == "No run is active.\n"


def test_a_held_run_is_shown_with_the_reason(
    client: Client,
    redis_server: "redis.Redis",
    declare: RegisterOperation,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = create_run(declare(FILL))
    lifecycle.start(run)
    hold_run(run, "replica-lag: 9 s", timedelta(hours=1))
    assert [row["held"] for row in fetch_stats(client)[1]["runs"]] == ["replica-lag: 9 s"]
    assert scrape(client)["kyndo_active_run_held", "fill", str(run.pk)] == 1
    call_command("queue_stats")
    *_, shown, reason = capsys.readouterr().out.splitlines()
    assert shown.split()[2] == "held"
    assert reason == f"Run {run.pk} is held. Health check replica-lag: 9 s."


class Twice(Event):
    """An event that is set after two waits."""

    rounds = 0

    def wait(self, timeout: float | None = None) -> bool:
        self.rounds += 1
        if self.rounds == 2:
            self.set()
        return self.is_set()


def test_watching_continues_without_redis_until_it_is_stopped(
    redis_server: "redis.Redis", settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.RQ_QUEUES = UNAVAILABLE
    Command().watch(True, Twice())
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["error"][:21] for each in documents] == ["Redis is unavailable:"] * 2
