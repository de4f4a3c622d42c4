"""What the engine is to reach, and whether it did."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from bench.engine.results import Results, Spread, ratio, spread
from bench.engine.rounds import IDLE
from bench.engine.variants import LIMIT
from ops.engine.size import TARGET

_SMALL, _LARGE = 100_000, 1_000_000
_LONGEST_WAIT = 250
Line = tuple[str, float, float, bool]


def targets(results: Results) -> list[str]:
    """A section, or nothing where 1,000,000 cards were not measured."""
    found = [*_ratios(results), *_sizes(results), *_waits(results)]
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


def _ratios(results: Results) -> Iterator[Line]:
    rounds = results.rounds("speed", _LARGE)
    for name, to, wanted, what in [
        ("adaptive", LIMIT, 0.95, "adaptive, of the limit, at least"),
        ("adaptive", "reference", 1.2, "adaptive, of the bare statement on the reference schema, at least"),
        ("two", "adaptive", 1.3, "two processes, of one, at least"),
    ]:
        if found := ratio(rounds, name, to):
            yield what, wanted, found.middle, found.middle >= wanted


def _sizes(results: Results) -> Iterator[Line]:
    small, large = (results.rounds("speed", rows) for rows in (_SMALL, _LARGE))
    before, after = ratio(small, "adaptive", LIMIT), ratio(large, "adaptive", LIMIT)
    if before and after:
        share = after.middle / before.middle
        yield "its share of the limit, of that at 100,000, at least", 0.9, share, share >= 0.9
    lean, full = (
        spread(rounds, "adaptive", lambda told: told["memory"] / 2**20) for rounds in (small, large)
    )
    if lean and full:
        yield (
            "memory in MiB, as at 100,000, at most",
            lean.middle * 1.05,
            full.middle,
            full.middle <= lean.middle * 1.05,
        )


def _waits(results: Results) -> Iterator[Line]:
    rounds = results.rounds("players", _LARGE)
    idle, beside = (spread(rounds, name, lambda told: float(told["p99"])) for name in (IDLE, "adaptive"))
    longest: Spread | None = spread(rounds, "adaptive", lambda told: float(told["longest"]))
    if idle and beside and longest:
        wanted = idle.middle + TARGET / timedelta(milliseconds=1)
        yield (
            "a player's p99 from due, ms: idle's and the target, at most",
            wanted,
            beside.middle,
            beside.middle <= wanted,
        )
        yield (
            "a player's longest wait, ms, at most",
            _LONGEST_WAIT,
            longest.most,
            longest.most <= _LONGEST_WAIT,
        )
