"""What the engine is to reach, and whether it did."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from bench.engine.results import ResultStore, Spread, compute_spread, compute_throughput_ratio
from bench.engine.rounds import IDLE
from bench.engine.variants import BASELINE
from ops.engine.batch_size import TARGET_DURATION

_SMALL_TABLE_ROWS, _LARGE_TABLE_ROWS = 100_000, 1_000_000
_MAX_WAIT_MS = 250
TargetRow = tuple[str, float, float, bool]


def render_targets(results: ResultStore) -> list[str]:
    """A section, or nothing where 1,000,000 cards were not measured."""
    found = [*_throughput_targets(results), *_table_size_targets(results), *_latency_targets(results)]
    if not found:
        return []
    lines = [
        f"| {what} | {wanted:,.2f} | {got:,.2f} | {'yes' if ok else '**no**'} |"
        for what, wanted, got, ok in found
    ]
    head = [
        "\n## What it is to reach, at 1,000,000 cards\n",
        "| what | wanted | measured | reached |",
        "|---|---:|---:|---|",
    ]
    return [*head, *lines, ""]


def _throughput_targets(results: ResultStore) -> Iterator[TargetRow]:
    rounds = results.rounds("speed", _LARGE_TABLE_ROWS)
    for name, to, wanted, what in [
        ("adaptive", BASELINE, 0.95, "adaptive, of the limit, at least"),
        ("adaptive", "reference", 1.2, "adaptive, of the bare statement on the reference schema, at least"),
        ("two", "adaptive", 1.3, "two processes, of one, at least"),
    ]:
        if found := compute_throughput_ratio(rounds, name, to):
            yield what, wanted, found.median, found.median >= wanted


def _table_size_targets(results: ResultStore) -> Iterator[TargetRow]:
    small, large = (results.rounds("speed", rows) for rows in (_SMALL_TABLE_ROWS, _LARGE_TABLE_ROWS))
    before, after = (
        compute_throughput_ratio(small, "adaptive", BASELINE),
        compute_throughput_ratio(large, "adaptive", BASELINE),
    )
    if before and after:
        share = after.median / before.median
        yield "its share of the limit, of that at 100,000, at least", 0.9, share, share >= 0.9
    lean, full = (
        compute_spread(rounds, "adaptive", lambda told: told["memory"] / 2**20) for rounds in (small, large)
    )
    if lean and full:
        yield (
            "memory in MiB, as at 100,000, at most",
            lean.median * 1.05,
            full.median,
            full.median <= lean.median * 1.05,
        )


def _latency_targets(results: ResultStore) -> Iterator[TargetRow]:
    rounds = results.rounds("players", _LARGE_TABLE_ROWS)
    idle, beside = (
        compute_spread(rounds, name, lambda told: float(told["p99"])) for name in (IDLE, "adaptive")
    )
    longest: Spread | None = compute_spread(rounds, "adaptive", lambda told: float(told["longest"]))
    if idle and beside and longest:
        wanted = idle.median + TARGET_DURATION / timedelta(milliseconds=1)
        yield (
            "a player's p99 from due, ms: idle's and the target, at most",
            wanted,
            beside.median,
            beside.median <= wanted,
        )
        yield (
            "a player's longest wait, ms, at most",
            _MAX_WAIT_MS,
            longest.maximum,
            longest.maximum <= _MAX_WAIT_MS,
        )
