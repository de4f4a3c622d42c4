"""``python -m bench.engine``: measure, print, and write the report into docs/."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from bench.engine import plot, report, rounds
from bench.engine.databases import ROOT, Databases
from bench.engine.measure import Bench
from bench.engine.results import Results, Round, machine
from bench.engine.variants import VARIANTS
from kyndo.localservices.postgres import LocalPostgres

_TARGETS = [5, 10, 20, 30, 50, 100]
_LARGE = 1_000_000
# At the default of 1 GB a million rows force a checkpoint every seven seconds, and a player who commits while
# it syncs waits for 100 to 350 ms. What a server needs for work of this size, not what is measured here.
_ROOM = {"max_wal_size": "8GB"}


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.engine", description=__doc__)
    add = parser.add_argument
    known = ", ".join(VARIANTS)
    add("--cards", type=_number, nargs="+", default=[100_000, _LARGE], help="100000 1000000; also 10000000")
    add("--rounds", type=_number, help="Rounds (5; 3 from 1,000,000 cards on).")
    add("--variants", nargs="*", choices=list(VARIANTS), metavar="NAME", help=f"Of {known} (all).")
    add("--players", nargs="*", choices=list(VARIANTS), metavar="NAME", help="Beside what (adaptive).")
    add(
        "--curve",
        type=_number,
        nargs="*",
        metavar="MS",
        help="Targets against throughput and p99 (5 to 100).",
    )
    add("--add", action="store_true", help="Keep the rounds on record of these sizes, and add these.")
    add("--only-curve", action="store_true", help="Neither speeds nor players but the curve.")
    add("--sample", type=_number, default=10_000, help="Cards that the slowest ways change (10000).")
    add("--idle", type=float, default=15.0, help="Seconds of a player alone (15).")
    add(
        "--server", help="URL of a database on another server than one of its own; it makes others beside it."
    )
    add("--docs", type=Path, default=ROOT / "docs", help="Where the report goes (docs/).")
    return parser.parse_args(argv)


def _number(text: str) -> int:
    number = int(text.replace(",", "").replace("_", ""))
    if number < 1:
        raise ValueError
    return number


@contextmanager
def server(url: str | None) -> Iterator[str]:
    """A server of our own with the defaults of durability and room for WAL, unless one was named."""
    if url:
        yield url
        return
    own = LocalPostgres(ROOT / "var" / "bench", settings=_ROOM, durable=True)
    own.start()
    try:
        yield own.url
    finally:
        own.stop()


def measure(options: argparse.Namespace, url: str, rows: int, results: Results) -> None:
    """One size: everything that was asked for, kept as soon as it is measured."""
    names = list(VARIANTS) if options.variants is None else options.variants
    beside = ["adaptive"] if options.players is None else options.players
    targets = _TARGETS if options.curve == [] or (options.only_curve and not options.curve) else options.curve
    count = options.rounds or (3 if rows >= _LARGE else 5)
    databases, told = Databases(url), machine(url)

    def keep(section: str, found: list[Round]) -> None:
        results.keep(section, rows, found, told, beside=options.add)

    with closing(databases):
        print(f"-- {rows:,} cards", file=sys.stderr, flush=True)
        databases.build(rows, {"kyndo"} | {VARIANTS[name].schema for name in [*names, *beside]})
        bench = Bench(databases, rows, options.sample)
        if names and not options.only_curve:
            keep("speed", rounds.speeds(bench, names, count))
        if beside and not options.only_curve:
            keep("players", rounds.players(bench, beside, count, options.idle))
        if targets:
            keep("curve", rounds.curve(bench, targets, count))


def main() -> None:
    options = arguments()
    results = Results(options.docs / "benchmarks.json")
    with server(options.server) as url:
        for rows in options.cards:
            measure(options, url, rows, results)
    options.docs.mkdir(parents=True, exist_ok=True)
    text = report.markdown(results)
    print(text)
    (options.docs / "benchmarks.md").write_text(text)
    for name, drawing in plot.drawings(results).items():
        (options.docs / name).write_text(drawing)


if __name__ == "__main__":
    main()
