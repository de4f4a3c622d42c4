"""A player: updates of single random cards on a fixed schedule, with their latencies.

Run as ``python -m bench.engine.player '{"url": ..., "cards": ...}'``. It prints "ready", starts at a line on
stdin, stops at the next one, and prints ``[[due, sent, done], ...]`` in monotonic seconds.
"""

from __future__ import annotations

import json
import random
import select
import sys
from collections.abc import Iterator
from time import monotonic, sleep

import psycopg

UPDATES_PER_SECOND = 200
_UPDATE_SQL = "UPDATE cards SET description = %s, updated_at = now() WHERE id = %s"


def iter_due_times() -> Iterator[float]:
    """Yield when each update is due, until a line arrives; updates that are already due are not skipped."""
    due = monotonic()
    until: float | None = None
    while until is None or due < until:
        if until is None and select.select([sys.stdin], [], [], 0)[0]:
            until = monotonic()
        yield due
        due += 1 / UPDATES_PER_SECOND


def run_updates(connection: psycopg.Connection[object], cards: int) -> list[tuple[float, float, float]]:
    """Update random cards on schedule; return ``(due, sent, done)`` of each, in monotonic seconds."""
    rng = random.Random(1)  # noqa: S311
    updates = []
    for due in iter_due_times():
        sleep(max(0.0, due - monotonic()))
        sent = monotonic()
        connection.execute(_UPDATE_SQL, (f"seen at {due}", rng.randint(1, cards)), prepare=True)
        updates.append((due, sent, monotonic()))
    return updates


def main() -> None:
    parameters = json.loads(sys.argv[1])
    with psycopg.connect(parameters["url"], autocommit=True) as connection:
        print("ready", flush=True)
        sys.stdin.readline()
        print(json.dumps(run_updates(connection, parameters["cards"])), flush=True)


if __name__ == "__main__":
    main()
