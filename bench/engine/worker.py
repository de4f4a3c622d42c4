"""A process that changes the cards in one way; run as ``python -m bench.engine.worker '{"kind": ...}'``.

It gets ready, prints "ready", begins at a line on its standard input, and ends by printing what it did.
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
    """When each batch ended; an engine's watcher too."""

    def __init__(self) -> None:
        self.batch_ends: list[float] = []

    def batch(self, *told: object) -> None:
        self.batch_ends.append(monotonic())

    def waiting(self, reason: str) -> None:
        print(reason, file=sys.stderr)

    def held(self, run: Any) -> None:
        print(f"held: {run.held_reason}", file=sys.stderr)

    def note(self, words: str) -> None:
        print(words, file=sys.stderr)


def prepare_engine(order: dict[str, Any], ends: BatchEndRecorder) -> Callable[[], object]:
    from ops.engine import loop
    from ops.runs import lifecycle

    if order["target"]:
        loop.TARGET_DURATION = timedelta(milliseconds=order["target"])
    run = lifecycle.get_run(order["run"])

    def go() -> None:
        state = loop.run_batches(run, ends, Event())
        if state != "succeeded":
            raise RuntimeError(f"the run ended {state}")

    return go


def create_run(order: dict[str, Any]) -> int:
    """A run of the backfill, for processes to join or for workers to take up."""
    from ops.operations import registry
    from ops.runs import lifecycle
    from ops.runs.creation import RunRequest, create_run

    operation = registry.get_operation("backfill_rarity_v2")
    asked = {name: order[name] for name in ("lanes", "workers", "batch_size")}
    run = create_run(RunRequest(operation, "benchmark", **asked))
    if not order["workers"]:
        lifecycle.start(run)
    return int(run.pk)


def prepare_bare_statement(order: dict[str, Any], ends: BatchEndRecorder) -> Callable[[], object]:
    from django.db import connection

    from bench.engine.reference import BARE_STATEMENTS

    def go() -> None:
        with connection.cursor() as cursor:
            cursor.execute(BARE_STATEMENTS[order["schema"]])
        ends.batch()

    return go


def prepare_django_strategy(order: dict[str, Any], ends: BatchEndRecorder) -> Callable[[], object]:
    from bench.engine.django_strategies import DJANGO_STRATEGIES

    def go() -> None:
        done = 0
        for changed in DJANGO_STRATEGIES[order["kind"]]():
            ends.batch()
            done += changed
            if done >= (order["rows"] or done + 1):
                return

    return go


def prepare_queue(order: dict[str, Any], ends: BatchEndRecorder) -> Callable[[], object]:
    from bench.engine.queued import prepare_queued_run

    return prepare_queued_run(order)


def main() -> None:
    order = json.loads(sys.argv[1])
    django.setup()
    if order["kind"] == "create":
        print(create_run(order))
        return
    ends = BatchEndRecorder()
    go = {"engine": prepare_engine, "bare": prepare_bare_statement, "queue": prepare_queue}.get(
        order["kind"], prepare_django_strategy
    )(order, ends)
    print("ready", flush=True)
    sys.stdin.readline()
    began = monotonic()
    of_others = go()  # where others did the work
    told = {"began": began, "ended": monotonic(), "batches": ends.batch_ends, "memory": read_peak_memory()}
    print(json.dumps(of_others or told), flush=True)


if __name__ == "__main__":
    main()
