"""A process that runs one variant; run as ``python -m bench.engine.worker '{"kind": ...}'``.

It prints "ready", starts at a line on stdin, and prints its result at the end.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import timedelta
from threading import Event
from time import monotonic
from typing import Any

import django

from bench.engine.memory import read_peak_memory


class BatchEndRecorder:
    """Record the end of each batch, as a watcher of the engine."""

    def __init__(self) -> None:
        self.batch_ends: list[float] = []

    def on_batch(self, *report: object) -> None:
        self.batch_ends.append(monotonic())

    def on_retry(self, reason: str) -> None:
        print(reason, file=sys.stderr)

    def on_hold(self, run: Any) -> None:
        print(f"held: {run.held_reason}", file=sys.stderr)

    def on_note(self, message: str) -> None:
        print(message, file=sys.stderr)


def prepare_engine(parameters: dict[str, Any], ends: BatchEndRecorder) -> Callable[[], object]:
    from ops.engine import loop
    from ops.runs import lifecycle

    if parameters["target"]:
        loop.TARGET_DURATION = timedelta(milliseconds=parameters["target"])
    run = lifecycle.get_run(parameters["run"])

    def work() -> None:
        state = loop.run_batches(run, ends, Event())
        if state != "succeeded":
            raise RuntimeError(f"the run ended {state}")

    return work


def create_run(parameters: dict[str, Any]) -> int:
    """Create a run of the backfill for processes to join or for workers."""
    from ops.operations import registry
    from ops.runs import lifecycle
    from ops.runs.creation import RunRequest, create_run

    operation = registry.get_operation("backfill_rarity_v2")
    options = {name: parameters[name] for name in ("lanes", "workers", "batch_size")}
    run = create_run(RunRequest(operation, "benchmark", **options))
    if not parameters["workers"]:
        lifecycle.start(run)
    return int(run.pk)


def prepare_bare_statement(parameters: dict[str, Any], ends: BatchEndRecorder) -> Callable[[], object]:
    from django.db import connection

    from bench.engine.reference import BARE_STATEMENTS

    def work() -> None:
        with connection.cursor() as cursor:
            cursor.execute(BARE_STATEMENTS[parameters["schema"]])
        ends.on_batch()

    return work


def prepare_django_strategy(parameters: dict[str, Any], ends: BatchEndRecorder) -> Callable[[], object]:
    from bench.engine.django_strategies import DJANGO_STRATEGIES

    def work() -> None:
        done = 0
        for changed in DJANGO_STRATEGIES[parameters["kind"]]():
            ends.on_batch()
            done += changed
            if done >= (parameters["rows"] or done + 1):
                return

    return work


def prepare_queue(parameters: dict[str, Any], ends: BatchEndRecorder) -> Callable[[], object]:
    from bench.engine.queued import prepare_queued_run

    return prepare_queued_run(parameters)


def main() -> None:
    parameters = json.loads(sys.argv[1])
    django.setup()
    if parameters["kind"] == "create":
        print(create_run(parameters))
        return
    ends = BatchEndRecorder()
    work = {"engine": prepare_engine, "bare": prepare_bare_statement, "queue": prepare_queue}.get(
        parameters["kind"], prepare_django_strategy
    )(parameters, ends)
    print("ready", flush=True)
    sys.stdin.readline()
    started_at = monotonic()
    queued_report = work()  # of a queued run, which workers did
    report = {
        "began": started_at,
        "ended": monotonic(),
        "batches": ends.batch_ends,
        "memory": read_peak_memory(),
    }
    print(json.dumps(queued_report or report), flush=True)


if __name__ == "__main__":
    main()
