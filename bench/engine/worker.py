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

from bench.engine.memory import peak


class Ends:
    """When each batch ended; an engine's watcher too."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def batch(self, *told: object) -> None:
        self.times.append(monotonic())

    def waiting(self, reason: str) -> None:
        print(reason, file=sys.stderr)

    def held(self, run: Any) -> None:
        print(f"held: {run.held_reason}", file=sys.stderr)

    def note(self, words: str) -> None:
        print(words, file=sys.stderr)


def engine(order: dict[str, Any], ends: Ends) -> Callable[[], object]:
    from ops import runs
    from ops.engine import work

    if order["target"]:
        work.TARGET = timedelta(milliseconds=order["target"])
    run = runs.get(order["run"])

    def go() -> None:
        state = work.work(run, ends, Event())
        if state != "succeeded":
            raise RuntimeError(f"the run ended {state}")

    return go


def create_run(order: dict[str, Any]) -> int:
    """A run of the backfill, for processes to join or for workers to take up."""
    from ops import registry, runs
    from ops.creation import Request, create

    operation = registry.get("backfill_rarity_v2")
    asked = {name: order[name] for name in ("lanes", "workers", "batch_size")}
    run = create(Request(operation, "benchmark", **asked))
    if not order["workers"]:
        runs.start(run)
    return int(run.pk)


def bare(order: dict[str, Any], ends: Ends) -> Callable[[], object]:
    from django.db import connection

    from bench.engine.reference import BARE

    def go() -> None:
        with connection.cursor() as cursor:
            cursor.execute(BARE[order["schema"]])
        ends.batch()

    return go


def django_way(order: dict[str, Any], ends: Ends) -> Callable[[], object]:
    from bench.engine.django_ways import WAYS

    def go() -> None:
        done = 0
        for changed in WAYS[order["kind"]]():
            ends.batch()
            done += changed
            if done >= (order["rows"] or done + 1):
                return

    return go


def queue(order: dict[str, Any], ends: Ends) -> Callable[[], object]:
    from bench.engine.queued import queued

    return queued(order)


def main() -> None:
    order = json.loads(sys.argv[1])
    django.setup()
    if order["kind"] == "create":
        print(create_run(order))
        return
    ends = Ends()
    go = {"engine": engine, "bare": bare, "queue": queue}.get(order["kind"], django_way)(order, ends)
    print("ready", flush=True)
    sys.stdin.readline()
    began = monotonic()
    of_others = go()  # where others did the work
    told = {"began": began, "ended": monotonic(), "batches": ends.times, "memory": peak()}
    print(json.dumps(of_others or told), flush=True)


if __name__ == "__main__":
    main()
