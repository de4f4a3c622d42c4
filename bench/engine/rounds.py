"""What is measured, round after round, each round in the opposite order of the one before."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from bench.engine.measure import Bench, Latency, Speed
from bench.engine.results import Round, as_told
from bench.engine.variants import LIMIT, VARIANTS, Variant, aimed_at

IDLE = "idle"


def speeds(bench: Bench, names: Sequence[str], count: int) -> list[Round]:
    def measure(name: str) -> dict[str, Any]:
        speed = bench.speed(VARIANTS[name])
        return say(name, speed) and as_told(speed)

    return _rounds("speed", names, count, measure)


def players(bench: Bench, names: Sequence[str], count: int, idle: float) -> list[Round]:
    def measure(name: str) -> dict[str, Any]:
        if name != IDLE:
            return _beside(bench, VARIANTS[name])
        felt = bench.idle(idle)
        return say(name, felt) and as_told(felt)

    return _rounds("players", [IDLE, *names], count, measure)


def curve(bench: Bench, targets: Sequence[int], count: int) -> list[Round]:
    """Throughput and latency at each target; the limit has no player beside it, who would stop it or wait."""

    def measure(name: str) -> dict[str, Any]:
        if name == LIMIT:
            return as_told(bench.speed(VARIANTS[LIMIT]))
        return _beside(bench, aimed_at(int(name)))

    return _rounds("curve", [LIMIT, *map(str, targets)], count, measure)


def _beside(bench: Bench, variant: Variant) -> dict[str, Any]:
    speed, felt = bench.beside(variant)
    say(variant.name, speed, felt)
    return as_told(speed) | as_told(felt)


def _rounds(
    title: str, names: Sequence[str], count: int, measure: Callable[[str], dict[str, Any]]
) -> list[Round]:
    rounds = []
    for number in range(count):
        print(f"-- {title}, round {number + 1} of {count}", file=sys.stderr, flush=True)
        order = names if number % 2 == 0 else names[::-1]
        rounds.append({name: measure(name) for name in order})
    return rounds


def say(name: str, *told: Speed | Latency) -> bool:
    """A line for whoever waits."""
    print(f"{name:>12}", *map(_line, told), sep="  ", file=sys.stderr, flush=True)
    return True


def _line(told: Speed | Latency) -> str:
    if isinstance(told, Speed):
        return (
            f"{told.rate:>8,.0f} rows/s; batches {told.batch_median:,.1f} ms, to {told.batch_longest:,.0f};"
            f" {told.wal_per_row:,.0f} bytes of WAL a row; {told.memory / 2**20:,.0f} MiB"
        )
    return f"player: p50 {told.p50:,.1f}, p99 {told.p99:,.1f}, max {told.longest:,.0f} ms ({told.count})"
