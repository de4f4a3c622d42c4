"""Metrics of runs and queues for Prometheus."""

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
    """Read the database and Redis at each scrape.

    A server that is down has no metrics; the help of ``kyndo_up`` says why.
    """

    def describe(self) -> list[Metric]:
        """Describe nothing: registering must not query the servers."""
        return []

    def collect(self) -> Iterator[Metric]:
        system = stats.read_stats()
        totals = None
        if system.runs is not None:
            totals = stats.try_query("database", lambda: list(_total_metrics()), system.errors)
        help_text = " ".join(["Whether the server could be read.", *system.errors.values()])
        up = GaugeMetricFamily("kyndo_up", help_text, labels=["server"])
        for server in ("database", "redis"):
            up.add_metric([server], server not in system.errors)
        yield up
        yield from _queue_metrics(system)
        yield from _active_run_metrics(system)
        yield from totals or ()


def _queue_metrics(system: SystemStats) -> Iterator[Metric]:
    if system.queues is None or system.workers is None:
        return
    jobs = GaugeMetricFamily("kyndo_jobs", "Jobs of a queue, by state.", labels=["queue", "state"])
    oldest = GaugeMetricFamily(
        "kyndo_oldest_waiting_job_seconds", "Age of the oldest waiting job.", labels=["queue"]
    )
    for queue in system.queues:
        for state in COUNT_FIELDS[:-1]:
            jobs.add_metric([queue.name, state], getattr(queue, state))
        oldest.add_metric([queue.name], queue.oldest_waiting or 0)
    yield jobs
    yield oldest
    yield GaugeMetricFamily("kyndo_workers", "Live workers.", system.workers)


def _active_run_metrics(system: SystemStats) -> Iterator[Metric]:
    labels = ["run", "operation"]
    rows = GaugeMetricFamily("kyndo_active_run_rows", "Rows to change by an active run.", labels=labels)
    done = GaugeMetricFamily("kyndo_active_run_rows_done", "Rows of them changed or failed.", labels=labels)
    rate = GaugeMetricFamily(
        "kyndo_active_run_rows_per_second", "Rows changed per second since the run started.", labels=labels
    )
    held = GaugeMetricFamily(
        "kyndo_active_run_held", "Whether a health indicator holds the run.", labels=labels
    )
    for run in system.runs or ():
        names = [str(run.progress.run), run.progress.operation]
        rows.add_metric(names, run.progress.total)
        done.add_metric(names, run.progress.done)
        rate.add_metric(names, run.rate)
        held.add_metric(names, bool(run.hold_reason))
    yield from (rows, done, rate, held)


def _total_metrics() -> Iterator[Metric]:
    """Metrics of all runs, past and present."""
    counts = dict(Run.objects.order_by().values_list("state").annotate(Count("pk")))
    runs = GaugeMetricFamily("kyndo_runs", "Runs, by state.", labels=["state"])
    for state in State:
        runs.add_metric([state.value], counts.get(state, 0))
    changed = CounterMetricFamily("kyndo_rows_changed", "Rows changed by runs.", labels=["operation"])
    failed = GaugeMetricFamily("kyndo_rows_failed", "Rows that runs could not change.", labels=["operation"])
    batches = SummaryMetricFamily(
        "kyndo_batch_duration_seconds", "Duration of the transactions of batches.", labels=["operation"]
    )
    sums = (Sum("changed"), Sum("failed"), Sum("batches"), Sum("busy"))
    for operation, *figures in Lane.objects.order_by().values_list("run__operation").annotate(*sums):
        changed.add_metric([operation], figures[0])
        failed.add_metric([operation], figures[1])
        batches.add_metric([operation], figures[2], figures[3].total_seconds())
    yield from (runs, changed, failed, batches)
