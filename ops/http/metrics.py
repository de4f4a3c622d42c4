"""Runs and queues as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count, Sum
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from ops.models import Lane, Run
from ops.states import State
from ops.stats import queues as stats
from ops.stats.queues import COUNT_FIELDS, SystemStats


class RunsAndQueuesCollector(Collector):
    """Asks the database and Redis at each scrape; what is down has no figures, and the help says why."""

    def describe(self) -> list[Metric]:
        """Of nothing: to register must not ask."""
        return []

    def collect(self) -> Iterator[Metric]:
        told = stats.read_stats()
        ever = (
            None
            if told.runs is None
            else stats.try_query("database", lambda: list(_total_metrics()), told.errors)
        )
        said = " ".join(["Whether the server could tell.", *told.errors.values()])
        up = GaugeMetricFamily("kyndo_up", said, labels=["server"])
        for server in ("database", "redis"):
            up.add_metric([server], server not in told.errors)
        yield up
        yield from _queue_metrics(told)
        yield from _active_run_metrics(told)
        yield from ever or ()


def _queue_metrics(told: SystemStats) -> Iterator[Metric]:
    if told.queues is None or told.workers is None:
        return
    jobs = GaugeMetricFamily("kyndo_jobs", "Jobs of a queue, by what they are.", labels=["queue", "state"])
    oldest = GaugeMetricFamily(
        "kyndo_oldest_waiting_job_seconds", "How long the next job has waited.", labels=["queue"]
    )
    for queue in told.queues:
        for state in COUNT_FIELDS[:-1]:
            jobs.add_metric([queue.name, state], getattr(queue, state))
        oldest.add_metric([queue.name], queue.oldest_waiting or 0)
    yield jobs
    yield oldest
    yield GaugeMetricFamily("kyndo_workers", "Workers alive.", told.workers)


def _active_run_metrics(told: SystemStats) -> Iterator[Metric]:
    labels = ["run", "operation"]
    rows = GaugeMetricFamily("kyndo_active_run_rows", "Rows to change of an active run.", labels=labels)
    done = GaugeMetricFamily("kyndo_active_run_rows_done", "Rows changed or failed of them.", labels=labels)
    rate = GaugeMetricFamily(
        "kyndo_active_run_rows_per_second", "Rows changed a second since it was taken up.", labels=labels
    )
    held = GaugeMetricFamily("kyndo_active_run_held", "Whether it is held for its health.", labels=labels)
    for run in told.runs or ():
        names = [str(run.progress.run), run.progress.operation]
        rows.add_metric(names, run.progress.total)
        done.add_metric(names, run.progress.done)
        rate.add_metric(names, run.rate)
        held.add_metric(names, bool(run.held))
    yield from (rows, done, rate, held)


def _total_metrics() -> Iterator[Metric]:
    """Of all runs that there ever were."""
    found = dict(Run.objects.order_by().values_list("state").annotate(Count("pk")))
    runs = GaugeMetricFamily("kyndo_runs", "Runs, by their state.", labels=["state"])
    for state in State:
        runs.add_metric([state.value], found.get(state, 0))
    changed = CounterMetricFamily("kyndo_rows_changed", "Rows changed by runs.", labels=["operation"])
    failed = GaugeMetricFamily("kyndo_rows_failed", "Rows that runs could not change.", labels=["operation"])
    batches = SummaryMetricFamily(
        "kyndo_batch_duration_seconds", "How long the transactions of batches took.", labels=["operation"]
    )
    sums = (Sum("changed"), Sum("failed"), Sum("batches"), Sum("busy"))
    for operation, *figures in Lane.objects.order_by().values_list("run__operation").annotate(*sums):
        changed.add_metric([operation], figures[0])
        failed.add_metric([operation], figures[1])
        batches.add_metric([operation], figures[2], figures[3].total_seconds())
    yield from (runs, changed, failed, batches)
