"""The report docs/benchmarks.md, rendered from docs/benchmarks.json."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bench.engine import plot
from bench.engine.player import UPDATES_PER_SECOND
from bench.engine.results import (
    ResultStore,
    Spread,
    compute_spread,
    compute_throughput_ratio,
    rows_per_second,
)
from bench.engine.rounds import IDLE
from bench.engine.targets import render_targets
from bench.engine.variants import BASELINE, ONE_WORKER, TWO_WORKERS, VARIANTS

_INTRODUCTION = """# How fast the engine is

This page is written by `make bench` (`python -m bench.engine --help`); `benchmarks.json` has the values of
every round.

- The work is the backfill of `rarity_v2` of all cards, with its audit rows.
- Each measurement uses a fresh copy of the same database. The server has the default durability settings and
  a larger `max_wal_size`: with the default of 1 GB, a million rows cause a checkpoint every seven seconds,
  and a commit during its fsync takes 100 to 350 ms (`preflight` warns of it).
- The variants are measured in alternating rounds, since the speed of a machine changes over time. Ratios are
  computed within a round and shown as median (minimum to maximum).
- Rows per second are measured from the first batch to the end of the run, including the engine's checks.
- Workers are processes of `manage.py rqworker` with a Valkey of their own. The duration of their batches is
  measured to the start of the next batch.
- The limit is one bare SQL statement that changes and audits all rows. The reference schema is a usual one:
  five indexes on the cards, four and a foreign key on the audit table.
"""
_PLAYERS_INTRODUCTION = f"""A second connection updates single random cards, {UPDATES_PER_SECOND} times per
second, on a fixed schedule. Latencies are in milliseconds from when an update was due, so that updates that
were delayed by a slow one count too.
"""


def render_markdown(results: ResultStore) -> str:
    """Return the text of docs/benchmarks.md."""
    parts = [_INTRODUCTION, *render_targets(results)]
    parts += [_throughput_section(results, rows) for rows in results.sizes("speed")]
    parts += [_players_section(results, rows) for rows in results.sizes("players")]
    parts += [_curve_section(results, rows) for rows in results.sizes("curve")]
    return "\n".join(parts)


def _throughput_section(results: ResultStore, rows: int) -> str:
    rounds = results.rounds("speed", rows)
    head = [
        "variant",
        "rows/s",
        "relative to the limit",
        "batch, ms",
        "longest batch, ms",
        "WAL, bytes per row",
        "memory, MiB",
        "CPUs busy",
    ]
    lines = _format_table(head, (_throughput_row(rounds, name) for name in _measured_variants(rounds)))
    sample = next((one[n]["rows"] for one in rounds for n in one if VARIANTS[n].sampled), rows)
    slow = (
        f"\nVariants marked * are slow, so they changed only {sample:,} of the cards.\n"
        if sample < rows
        else ""
    )
    picture = f"\n![Throughput relative to the limit]({plot.throughput_filename(rows)})\n"
    title = _section_title("Throughput", "speed", results, rows)
    return f"{title}\n{lines}{slow}{_describe_worker_scaling(rounds)}{picture}"


def _describe_worker_scaling(rounds: list[dict[str, Any]]) -> str:
    """Describe the gain of a second worker and its limit; "" if it was not measured."""
    gain = compute_throughput_ratio(rounds, TWO_WORKERS, ONE_WORKER)
    busy = compute_spread(rounds, ONE_WORKER, lambda result: float(result["busy"]))
    if not gain or not busy:
        return ""
    text = (
        f"\nTwo workers are {format_spread(gain)} times as fast as one. They share the CPUs with PostgreSQL"
    )
    bound = 1 / busy.median
    if gain.median > bound:
        return f"{text}, and here with other processes, so their limit is unknown.\n"
    return (
        f"{text}: one worker keeps {busy.median:.0%} of them busy, including PostgreSQL's part, so here no"
        f" number of workers can be more than {bound:.2f} times as fast.\n"
    )


def _throughput_row(rounds: list[dict[str, Any]], name: str) -> list[str]:
    def of(key: str, unit: float = 1) -> str:
        return _format_median(compute_spread(rounds, name, lambda result: float(result[key]) / unit))

    variant = VARIANTS[name]
    longest = compute_spread(rounds, name, lambda result: float(result["batch_longest"]))
    # Missing in results of older versions of the benchmark.
    busy = compute_spread(
        [one for one in rounds if "busy" in one.get(name, {})], name, lambda result: float(result["busy"])
    )
    return [
        variant.title + (" *" if variant.sampled else ""),
        _format_median(compute_spread(rounds, name, rows_per_second)),
        format_spread(compute_throughput_ratio(rounds, name, BASELINE)),
        of("batch_median"),
        f"{longest.maximum:,.0f}" if longest else "",
        # Workers are polled, too seldom for these values.
        "" if variant.workers else of("wal_per_row"),
        "" if variant.workers else of("memory", 2**20),
        f"{busy.median:.0%}" if busy else "",
    ]


def _players_section(results: ResultStore, rows: int) -> str:
    rounds = results.rounds("players", rows)
    names = [name for name in [IDLE, *VARIANTS] if any(name in one for one in rounds)]
    head = [
        "beside",
        "p50",
        "p99",
        "maximum",
        "updates per round",
        "p99 from when sent",
        "rows/s of the work",
    ]
    lines = _format_table(head, (_player_row(rounds, name) for name in names))
    return f"{_section_title('Players', 'players', results, rows)}\n{_PLAYERS_INTRODUCTION}\n{lines}"


def _player_row(rounds: list[dict[str, Any]], name: str) -> list[str]:
    def of(key: str) -> Spread | None:
        return compute_spread(rounds, name, lambda result: float(result[key]))

    longest = of("longest")
    title = "nothing (idle)" if name == IDLE else VARIANTS[name].title
    speed = "" if name == IDLE else _format_median(compute_spread(rounds, name, rows_per_second))
    longest_text = f"{longest.maximum:,.0f}" if longest else ""
    return [
        title,
        format_spread(of("p50")),
        format_spread(of("p99")),
        longest_text,
        _format_median(of("count")),
        _format_median(of("sent_p99")),
        speed,
    ]


def _curve_section(results: ResultStore, rows: int) -> str:
    rounds = results.rounds("curve", rows)
    names = sorted(
        {name for one in rounds for name in one if name != BASELINE},
        key=lambda name: int(name.split("-")[-1]),
    )
    head = [
        "target, ms",
        "rows/s beside a player",
        "relative to the limit alone",
        "batch, ms",
        "longest batch",
        "p99 of the player",
        "maximum of the player",
    ]
    lines = _format_table(head, (_curve_row(rounds, name) for name in names))
    picture = f"\n![Targets, throughput and latency]({plot.curve_filename(rows)})\n"
    return f"{_section_title('Target duration of a batch', 'curve', results, rows)}\n{lines}{picture}"


def _curve_row(rounds: list[dict[str, Any]], name: str) -> list[str]:
    def of(key: str, format_value: Callable[[Spread | None], str]) -> str:
        return format_value(compute_spread(rounds, name, lambda result: float(result[key])))

    def format_maximum(spread: Spread | None) -> str:
        return f"{spread.maximum:,.0f}" if spread else ""

    return [
        name,
        _format_median(compute_spread(rounds, name, rows_per_second)),
        format_spread(compute_throughput_ratio(rounds, name, BASELINE)),
        of("batch_median", _format_median),
        of("batch_longest", format_maximum),
        of("p99", format_spread),
        of("longest", format_maximum),
    ]


def _measured_variants(rounds: list[dict[str, Any]]) -> list[str]:
    return [name for name in VARIANTS if any(name in one for one in rounds)]


def _section_title(title: str, section: str, results: ResultStore, rows: int) -> str:
    rounds = results.rounds(section, rows)
    counts = {sum(name in one for one in rounds) for one in rounds for name in one}
    count = " to ".join(str(count) for count in sorted({min(counts), max(counts)}))
    plural = "" if count == "1" else "s"
    return f"\n## {title}, {rows:,} cards\n\n{count} round{plural}; {results.machine(section, rows)}.\n"


def _format_table(head: list[str], rows: Iterator[list[str]]) -> str:
    body = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in body)


def format_spread(spread: Spread | None) -> str:
    """``1.20 (1.10 to 1.30)``; "" for None."""
    if spread is None:
        return ""
    digits = 2 if spread.maximum < 10 else 0
    return f"{spread.median:,.{digits}f} ({spread.minimum:,.{digits}f} to {spread.maximum:,.{digits}f})"


def _format_median(spread: Spread | None) -> str:
    if spread is None:
        return ""
    return f"{spread.median:,.{0 if spread.median >= 100 else 1}f}"
