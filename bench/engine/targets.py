"""The performance targets of the engine, and whether they are met."""

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
    """Return the section, [] if 1,000,000 cards were not measured."""
    targets = [*_throughput_targets(results), *_table_size_targets(results), *_latency_targets(results)]
    if not targets:
        return []
    lines = [
        f"| {label} | {target:,.2f} | {measured:,.2f} | {'yes' if is_reached else '**no**'} |"
        for label, target, measured, is_reached in targets
    ]
    head = [
        "\n## Targets, at 1,000,000 cards\n",
        "| target | value | measured | met |",
        "|---|---:|---:|---|",
    ]
    return [*head, *lines, ""]


def _throughput_targets(results: ResultStore) -> Iterator[TargetRow]:
    rounds = results.rounds("speed", _LARGE_TABLE_ROWS)
    for name, to, target, label in [
        ("adaptive", BASELINE, 0.95, "adaptive, relative to the limit: at least"),
        (
            "adaptive",
            "reference",
            1.2,
            "adaptive, relative to the bare statement on the reference schema: at least",
        ),
        ("two", "adaptive", 1.3, "two processes, relative to one: at least"),
    ]:
        if ratio := compute_throughput_ratio(rounds, name, to):
            yield label, target, ratio.median, ratio.median >= target


def _table_size_targets(results: ResultStore) -> Iterator[TargetRow]:
    small, large = (results.rounds("speed", rows) for rows in (_SMALL_TABLE_ROWS, _LARGE_TABLE_ROWS))
    before, after = (
        compute_throughput_ratio(small, "adaptive", BASELINE),
        compute_throughput_ratio(large, "adaptive", BASELINE),
    )
    if before and after:
        share = after.median / before.median
        yield (
            "adaptive, relative to the limit: compared with 100,000 cards, at least",
            0.9,
            share,
            share >= 0.9,
        )
    small_memory, large_memory = (
        compute_spread(rounds, "adaptive", lambda result: result["memory"] / 2**20)
        for rounds in (small, large)
    )
    if small_memory and large_memory:
        yield (
            "memory in MiB: as with 100,000 cards, at most",
            small_memory.median * 1.05,
            large_memory.median,
            large_memory.median <= small_memory.median * 1.05,
        )


def _latency_targets(results: ResultStore) -> Iterator[TargetRow]:
    rounds = results.rounds("players", _LARGE_TABLE_ROWS)
    idle, beside = (
        compute_spread(rounds, name, lambda result: float(result["p99"])) for name in (IDLE, "adaptive")
    )
    longest: Spread | None = compute_spread(rounds, "adaptive", lambda result: float(result["longest"]))
    if idle and beside and longest:
        target = idle.median + TARGET_DURATION / timedelta(milliseconds=1)
        yield (
            "a player's p99, ms: at most that without work, plus the target of a batch",
            target,
            beside.median,
            beside.median <= target,
        )
        yield (
            "a player's maximum latency, ms: at most",
            _MAX_WAIT_MS,
            longest.maximum,
            longest.maximum <= _MAX_WAIT_MS,
        )
