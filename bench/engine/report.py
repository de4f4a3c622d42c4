"""The report: docs/benchmarks.md, from what is kept in docs/benchmarks.json."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bench.engine import plot
from bench.engine.player import RATE
from bench.engine.results import Results, Spread, rate, ratio, spread
from bench.engine.rounds import IDLE
from bench.engine.targets import targets
from bench.engine.variants import LIMIT, ONE_WORKER, TWO_WORKERS, VARIANTS

_HEAD = """# How fast the engine is

Written by `make bench` (`python -m bench.engine --help`); the figures of every round are in
`benchmarks.json`. The work is the backfill of `rarity_v2` on every card, with its audit rows. Every
measurement begins on a fresh copy of the same database, on a server with the defaults of durability
and room for WAL: at the default max_wal_size of 1 GB a million rows force a checkpoint every seven seconds,
and whoever commits while it syncs waits for 100 to 350 ms (`preflight` tells of it). The
ways are measured in alternating rounds, because a machine drifts: ratios are taken within a round, and shown
as their median (least to most). Rows a second count from the first batch to the end of the work, the checks
of the engine included. Workers are processes of `manage.py rqworker`, called by a Valkey of their own; a
batch of theirs counts to the beginning of the next one. The reference schema is an ordinary one: five indexes
on the cards, four and a foreign key on the audit table.
"""
_PLAYERS = f"""A second connection updates single random cards {RATE} times a second, on a schedule.
Milliseconds from when an update was due, so that those count which had to queue behind a stalled one.
"""


def markdown(results: Results) -> str:
    parts = [_HEAD, *targets(results)]
    parts += [_speed(results, rows) for rows in results.sizes("speed")]
    parts += [_players(results, rows) for rows in results.sizes("players")]
    parts += [_curve(results, rows) for rows in results.sizes("curve")]
    return "\n".join(parts)


def _speed(results: Results, rows: int) -> str:
    rounds = results.rounds("speed", rows)
    head = [
        "way",
        "rows/s",
        "of the limit",
        "batch, ms",
        "longest, ms",
        "WAL, bytes a row",
        "memory, MiB",
        "CPUs busy",
    ]
    lines = _table(head, (_speed_row(rounds, name) for name in _measured(rounds)))
    sample = next((one[n]["rows"] for one in rounds for n in one if VARIANTS[n].sampled), rows)
    slow = (
        f"\nWays marked * are so slow that only {sample:,} of the cards were changed.\n"
        if sample < rows
        else ""
    )
    picture = f"\n![Ratios to the limit]({plot.speed_name(rows)})\n"
    return f"{_title('Throughput', 'speed', results, rows)}\n{lines}{slow}{_workers(rounds)}{picture}"


def _workers(rounds: list[dict[str, Any]]) -> str:
    """What a second worker gives, and what bounds it; nothing where that was not measured."""
    gain = ratio(rounds, TWO_WORKERS, ONE_WORKER)
    busy = spread(rounds, ONE_WORKER, lambda told: float(told["busy"]))
    if not gain or not busy:
        return ""
    told = f"\nTwo workers do {with_spread(gain)} times what one does. They share the CPUs with PostgreSQL"
    most = 1 / busy.middle
    if gain.middle > most:
        return f"{told}, and here with others, so that nothing is told of what bounds them.\n"
    return (
        f"{told}: one keeps {busy.middle:.0%} of them busy, PostgreSQL's part included, so that no number of"
        f" workers does more than {most:.2f} times as much on this machine.\n"
    )


def _speed_row(rounds: list[dict[str, Any]], name: str) -> list[str]:
    def of(key: str, unit: float = 1) -> str:
        return _number(spread(rounds, name, lambda told: float(told[key]) / unit))

    variant = VARIANTS[name]
    longest = spread(rounds, name, lambda told: float(told["batch_longest"]))
    # Not there where it was measured by an older benchmark.
    busy = spread(
        [one for one in rounds if "busy" in one.get(name, {})], name, lambda told: float(told["busy"])
    )
    return [
        variant.title + (" *" if variant.sampled else ""),
        _number(spread(rounds, name, rate)),
        with_spread(ratio(rounds, name, LIMIT)),
        of("batch_median"),
        f"{longest.most:,.0f}" if longest else "",
        # Who calls workers looks at them now and then: too seldom for these.
        "" if variant.workers else of("wal_per_row"),
        "" if variant.workers else of("memory", 2**20),
        f"{busy.middle:.0%}" if busy else "",
    ]


def _players(results: Results, rows: int) -> str:
    rounds = results.rounds("players", rows)
    names = [name for name in [IDLE, *VARIANTS] if any(name in one for one in rounds)]
    head = ["beside", "p50", "p99", "longest", "updates a round", "p99 from when sent", "rows/s of the work"]
    lines = _table(head, (_player_row(rounds, name) for name in names))
    return f"{_title('Players', 'players', results, rows)}\n{_PLAYERS}\n{lines}"


def _player_row(rounds: list[dict[str, Any]], name: str) -> list[str]:
    def of(key: str) -> Spread | None:
        return spread(rounds, name, lambda told: float(told[key]))

    longest = of("longest")
    title = "nothing (idle)" if name == IDLE else VARIANTS[name].title
    speed = "" if name == IDLE else _number(spread(rounds, name, rate))
    most = f"{longest.most:,.0f}" if longest else ""
    return [
        title,
        with_spread(of("p50")),
        with_spread(of("p99")),
        most,
        _number(of("count")),
        _number(of("sent_p99")),
        speed,
    ]


def _curve(results: Results, rows: int) -> str:
    rounds = results.rounds("curve", rows)
    names = sorted(
        {name for one in rounds for name in one if name != LIMIT}, key=lambda name: int(name.split("-")[-1])
    )
    head = [
        "target, ms",
        "rows/s beside a player",
        "of the limit alone",
        "batch, ms",
        "longest batch",
        "p99 from due",
        "longest",
    ]
    lines = _table(head, (_curve_row(rounds, name) for name in names))
    picture = f"\n![Targets, throughput and latency]({plot.curve_name(rows)})\n"
    return f"{_title('The target of a batch', 'curve', results, rows)}\n{lines}{picture}"


def _curve_row(rounds: list[dict[str, Any]], name: str) -> list[str]:
    def of(key: str, shape: Callable[[Spread | None], str]) -> str:
        return shape(spread(rounds, name, lambda told: float(told[key])))

    def most(found: Spread | None) -> str:
        return f"{found.most:,.0f}" if found else ""

    return [
        name,
        _number(spread(rounds, name, rate)),
        with_spread(ratio(rounds, name, LIMIT)),
        of("batch_median", _number),
        of("batch_longest", most),
        of("p99", with_spread),
        of("longest", most),
    ]


def _measured(rounds: list[dict[str, Any]]) -> list[str]:
    return [name for name in VARIANTS if any(name in one for one in rounds)]


def _title(title: str, section: str, results: Results, rows: int) -> str:
    rounds = results.rounds(section, rows)
    counts = {sum(name in one for one in rounds) for one in rounds for name in one}
    count = " to ".join(str(count) for count in sorted({min(counts), max(counts)}))
    plural = "" if count == "1" else "s"
    return f"\n## {title}, {rows:,} cards\n\n{count} round{plural}; {results.machine(section, rows)}.\n"


def _table(head: list[str], rows: Iterator[list[str]]) -> str:
    body = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in body)


def with_spread(found: Spread | None) -> str:
    if found is None:
        return ""
    places = 2 if found.most < 10 else 0
    return f"{found.middle:,.{places}f} ({found.least:,.{places}f} to {found.most:,.{places}f})"


def _number(found: Spread | None) -> str:
    if found is None:
        return ""
    return f"{found.middle:,.{0 if found.middle >= 100 else 1}f}"
