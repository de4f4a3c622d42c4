"""``python -m bench.column_change``: each step of the scenarios, and how long players waited meanwhile."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psycopg

from bench.checkout import Checkout
from bench.column_change.scenarios import SCENARIOS, START, Scenario
from bench.engine.__main__ import benchmark_server
from bench.engine.databases import BenchmarkDatabases
from bench.engine.measure import summarize_latency
from bench.engine.process import BenchmarkProcess

_IDLE_SECONDS = 10.0
_MAX_WAIT_MS = 250
_CHANGE_STEPS = ("expand", "backfill", "verify", "constrain", "switch", "retire", "drop")


@dataclass(frozen=True)
class StepTime:
    """When a step began and ended, in monotonic seconds."""

    name: str
    began: float
    ended: float


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.column_change", description=__doc__)
    parser.add_argument("--cards", type=int, default=1_000_000)
    parser.add_argument(
        "--scenarios", nargs="*", choices=list(SCENARIOS), default=list(SCENARIOS), metavar="NAME",
        help=f"By default all: {', '.join(SCENARIOS)}.",
    )  # fmt: skip
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    with benchmark_server(None) as url:
        databases = BenchmarkDatabases(url)
        print(f"Building a database of {options.cards:,} cards", file=sys.stderr, flush=True)
        databases.build(options.cards, {"kyndo"})
        try:
            failed = [not _measure(databases, SCENARIOS[name], options.cards) for name in options.scenarios]
        finally:
            databases.close()
    sys.exit(any(failed))


def _measure(databases: BenchmarkDatabases, scenario: Scenario, cards: int) -> bool:
    """Run the scenario and print its table; return whether nothing was lost and nobody waited too long."""
    with databases.temporary_copy("kyndo") as url, tempfile.TemporaryDirectory() as folder:
        checkout = Checkout(Path(folder) / "kyndo", url)
        with _players(url, scenario, cards) as results:
            times = [_time("idle", lambda: sleep(_IDLE_SECONDS))]
            for name, take in scenario.steps(checkout):
                times.append(_time(name, take))
        lost = _count_lost(url, scenario, results[0]["written"])
    _print_report(scenario, times, results, lost)
    errors = sum(len(result["errors"]) for result in results)
    ready = times[0].ended  # before, the disk writes the copy of the database
    calls = [call for result in results for call in result["calls"] if call[0] >= ready]
    return not lost and not errors and _longest_statement(calls) <= _MAX_WAIT_MS


@contextmanager
def _players(url: str, scenario: Scenario, cards: int) -> Iterator[list[dict[str, Any]]]:
    """Let one client update and one read in the block; the list has their results after it."""
    shared = {"url": url, "change": scenario.change, "columns": scenario.columns, "values": scenario.values}
    players = [
        BenchmarkProcess("column_change.player", url, {**shared, "kind": kind, "cards": cards})
        for kind in ("update", "read")
    ]
    results: list[dict[str, Any]] = []
    try:
        for player in players:
            player.signal()
        sleep(1)
        yield results
        for player in players:
            player.signal()
        results += [player.read_result() for player in players]
    finally:
        for player in players:
            player.kill()


def _time(name: str, take: Any) -> StepTime:
    began = monotonic()
    take()
    step = StepTime(name, began, monotonic())
    print(f"{name:>20}  {step.ended - step.began:6.1f} s", file=sys.stderr, flush=True)
    return step


def _count_lost(url: str, scenario: Scenario, written: dict[str, str]) -> int:
    """Count the cards whose column is not what the updating player, the only writer, wrote last."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            f"SELECT id, {scenario.columns[1]}::text FROM cards WHERE id = ANY(%s)",  # noqa: S608
            [list(map(int, written))],
        ).fetchall()
    return sum(written[str(card)] != value for card, value in rows) + len(written) - len(rows)


def _share_of_backfill(times: list[StepTime]) -> float | None:
    """Return the time of all steps, each once, over that of the backfill alone."""
    seconds = {step.name: step.ended - step.began for step in reversed(times)}
    if START not in seconds:
        return None
    taken = [seconds[step] - seconds[START] for step in _CHANGE_STEPS if step in seconds]
    return sum(taken) / (seconds["backfill"] - seconds[START])


def _longest_statement(calls: list[list[float]]) -> float:
    """Return the time of the longest statement in milliseconds, of ``[due, sent, done]`` in seconds."""
    return max((done - sent) * 1000 for _, sent, done in calls)


def _print_report(
    scenario: Scenario, times: list[StepTime], results: list[dict[str, Any]], lost: int
) -> None:
    print(f"\n## {scenario.name}\n\n| step | s | player's p50, ms | p99, ms | longest statement, ms |")
    print("|---|---:|---:|---:|---:|")
    calls = sorted(call for result in results for call in result["calls"])
    for step in times:
        during = [call for call in calls if step.began <= call[0] <= step.ended]
        cells = ["", "", ""]
        if during:
            latency = summarize_latency(during)
            cells = [f"{value:,.1f}" for value in (latency.p50, latency.p99, _longest_statement(during))]
        print(f"| {step.name} | {step.ended - step.began:,.1f} | {' | '.join(cells)} |")
    if share := _share_of_backfill(times):
        print(f"\nThe steps took {share:.2f} of the backfill's time, starts of commands not counted.")
    errors = [error for result in results for error in result["errors"]]
    print(f"\n{len(calls):,} statements of players, {len(errors)} errors, {lost} lost writes.")
    for error in sorted(set(errors)):
        print(f"- {error}")


if __name__ == "__main__":
    main()
