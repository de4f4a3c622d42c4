"""The rounds of measurements; every other round runs in reverse order."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from bench.engine.measure import Benchmark, Latency, Throughput
from bench.engine.results import RoundResults, to_dict
from bench.engine.variants import BASELINE, VARIANTS, Variant, variant_with_target

IDLE = "idle"


def run_throughput_rounds(bench: Benchmark, names: Sequence[str], count: int) -> list[RoundResults]:
    def measure(name: str) -> dict[str, Any]:
        speed = bench.measure_throughput(VARIANTS[name])
        print_measurement(name, speed)
        return to_dict(speed)

    return _run_alternating_rounds("speed", names, count, measure)


def run_player_rounds(bench: Benchmark, names: Sequence[str], count: int, idle: float) -> list[RoundResults]:
    def measure(name: str) -> dict[str, Any]:
        if name != IDLE:
            return _measure_beside_player(bench, VARIANTS[name])
        latency = bench.measure_idle_latency(idle)
        print_measurement(name, latency)
        return to_dict(latency)

    return _run_alternating_rounds("players", [IDLE, *names], count, measure)


def run_curve_rounds(bench: Benchmark, targets: Sequence[int], count: int) -> list[RoundResults]:
    """Measure throughput and latency for each target; the limit runs without a player, who would block it."""

    def measure(name: str) -> dict[str, Any]:
        if name == BASELINE:
            return to_dict(bench.measure_throughput(VARIANTS[BASELINE]))
        return _measure_beside_player(bench, variant_with_target(int(name)))

    return _run_alternating_rounds("curve", [BASELINE, *map(str, targets)], count, measure)


def _measure_beside_player(bench: Benchmark, variant: Variant) -> dict[str, Any]:
    speed, latency = bench.measure_beside_player(variant)
    print_measurement(variant.name, speed, latency)
    return to_dict(speed) | to_dict(latency)


def _run_alternating_rounds(
    title: str, names: Sequence[str], count: int, measure: Callable[[str], dict[str, Any]]
) -> list[RoundResults]:
    rounds = []
    for number in range(count):
        print(f"-- {title}, round {number + 1} of {count}", file=sys.stderr, flush=True)
        order = names if number % 2 == 0 else names[::-1]
        rounds.append({name: measure(name) for name in order})
    return rounds


def print_measurement(name: str, *measurements: Throughput | Latency) -> None:
    """Print a progress line."""
    print(f"{name:>12}", *map(_format_measurement, measurements), sep="  ", file=sys.stderr, flush=True)


def _format_measurement(value: Throughput | Latency) -> str:
    if isinstance(value, Throughput):
        return (
            f"{value.rows_per_second:>8,.0f} rows/s; batches {value.batch_median:,.1f} ms,"
            f" to {value.batch_longest:,.0f}; {value.wal_per_row:,.0f} bytes of WAL a row;"
            f" {value.memory / 2**20:,.0f} MiB"
        )
    return f"player: p50 {value.p50:,.1f}, p99 {value.p99:,.1f}, max {value.longest:,.0f} ms ({value.count})"
