"""``python -m bench.engine``: measure, print the report, and write it into docs/."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from bench.engine import plot, report, rounds
from bench.engine.databases import ROOT, BenchmarkDatabases
from bench.engine.measure import Benchmark
from bench.engine.results import ResultStore, RoundResults, describe_machine
from bench.engine.variants import VARIANTS
from kyndo.localservices.postgres import LocalPostgres

_CURVE_TARGETS = [5, 10, 20, 30, 50, 100]
_LARGE_TABLE_ROWS = 1_000_000
# With the default of 1 GB, a million rows cause a checkpoint every seven seconds; a player's commit during
# its fsync takes 100 to 350 ms. A server needs this setting for such work; it is not what is measured.
_WAL_SETTINGS = {"max_wal_size": "8GB"}


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.engine", description=__doc__)
    add = parser.add_argument
    variant_names = ", ".join(VARIANTS)
    add(
        "--cards",
        type=_parse_count,
        nargs="+",
        default=[100_000, _LARGE_TABLE_ROWS],
        help="100000 1000000; also 10000000",
    )
    add("--rounds", type=_parse_count, help="Number of rounds (default: 5; 3 from 1,000,000 cards on).")
    add(
        "--variants",
        nargs="*",
        choices=list(VARIANTS),
        metavar="NAME",
        help=f"Variants to measure (default: all): {variant_names}.",
    )
    add(
        "--players",
        nargs="*",
        choices=list(VARIANTS),
        metavar="NAME",
        help="Variants to run beside a player (default: adaptive).",
    )
    add(
        "--curve",
        type=_parse_count,
        nargs="*",
        metavar="MS",
        help="Target durations of a batch for the curve of throughput and p99 (default: 5 to 100).",
    )
    add("--add", action="store_true", help="Add these rounds to the saved ones instead of replacing them.")
    add("--only-curve", action="store_true", help="Measure only the curve.")
    add(
        "--sample",
        type=_parse_count,
        default=10_000,
        help="Number of cards that the slowest variants change (default: 10000).",
    )
    add("--idle", type=float, default=15.0, help="Seconds of the player without other work (default: 15).")
    add("--server", help="URL of a database on an existing server; others are created beside it.")
    add("--docs", type=Path, default=ROOT / "docs", help="Folder of the report (default: docs/).")
    return parser.parse_args(argv)


def _parse_count(text: str) -> int:
    number = int(text.replace(",", "").replace("_", ""))
    if number < 1:
        raise ValueError
    return number


@contextmanager
def benchmark_server(url: str | None) -> Iterator[str]:
    """Yield ``url``, or the URL of a local server with default durability and a large max_wal_size."""
    if url:
        yield url
        return
    server = LocalPostgres(ROOT / "var" / "bench", settings=_WAL_SETTINGS, durable=True)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


def measure_table_size(options: argparse.Namespace, url: str, rows: int, results: ResultStore) -> None:
    """Measure one table size; each section is saved as soon as it is measured."""
    names = list(VARIANTS) if options.variants is None else options.variants
    beside = ["adaptive"] if options.players is None else options.players
    targets = (
        _CURVE_TARGETS if options.curve == [] or (options.only_curve and not options.curve) else options.curve
    )
    count = options.rounds or (3 if rows >= _LARGE_TABLE_ROWS else 5)
    databases, machine = BenchmarkDatabases(url), describe_machine(url)

    def keep(section: str, section_results: list[RoundResults]) -> None:
        results.save_rounds(section, rows, section_results, machine, beside=options.add)

    with closing(databases):
        print(f"-- {rows:,} cards", file=sys.stderr, flush=True)
        databases.build(rows, {"kyndo"} | {VARIANTS[name].schema for name in [*names, *beside]})
        bench = Benchmark(databases, rows, options.sample)
        if names and not options.only_curve:
            keep("speed", rounds.run_throughput_rounds(bench, names, count))
        if beside and not options.only_curve:
            keep("players", rounds.run_player_rounds(bench, beside, count, options.idle))
        if targets:
            keep("curve", rounds.run_curve_rounds(bench, targets, count))


def main() -> None:
    options = parse_arguments()
    results = ResultStore(options.docs / "benchmarks.json")
    with benchmark_server(options.server) as url:
        for rows in options.cards:
            measure_table_size(options, url, rows, results)
    options.docs.mkdir(parents=True, exist_ok=True)
    text = report.render_markdown(results)
    print(text)
    (options.docs / "benchmarks.md").write_text(text)
    for name, drawing in plot.render_plots(results).items():
        (options.docs / name).write_text(drawing)


if __name__ == "__main__":
    main()
