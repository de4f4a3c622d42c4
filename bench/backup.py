"""The time of backup_db compared with a bare pg_dump of the same database, and of a restore.

``python -m bench.backup --help``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from bench.engine.__main__ import benchmark_server
from bench.engine.databases import ROOT, BenchmarkDatabases, build_environment
from kyndo.localservices.binaries import find_postgres_bin
from ops.formatting import pluralize


def time_command(command: list[object], url: str) -> float:
    """Run a command on the database; return its seconds. Raises SystemExit if it fails."""
    started_at = time.perf_counter()
    result = subprocess.run(
        [str(word) for word in command],
        env=build_environment(url),
        cwd=ROOT,
        check=False,
        stdout=subprocess.DEVNULL,
    )
    if result.returncode:
        raise SystemExit(f"{command[0]} ended with {result.returncode}; see the output above")
    return time.perf_counter() - started_at


def build_steps(url: str, folder: Path) -> dict[str, Callable[[], float]]:
    """Return the steps of a round by name; each returns its seconds."""
    manage: list[object] = [sys.executable, ROOT / "manage.py"]
    name = urlsplit(url).path.strip("/")
    pg_dump = [find_postgres_bin(18) / "pg_dump", "--format=custom", f"--file={folder / 'bare.dump'}", url]
    return {
        "bare pg_dump": lambda: time_command(pg_dump, url),
        "backup_db": lambda: time_command([*manage, "backup_db", folder / "kyndo.dump"], url),
        "restore_db": lambda: time_command(
            [*manage, "restore_db", folder / "kyndo.dump", "--confirm", name, "--drop-old"], url
        ),
    }


def run_rounds(url: str, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each step in each round."""
    durations: dict[str, list[float]] = {}
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for name, step in build_steps(url, Path(folder)).items():
                durations.setdefault(name, []).append(step())
                print(f"{number + 1}: {name}: {durations[name][-1]:.1f} s", file=sys.stderr, flush=True)
    return durations


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.backup", description=__doc__)
    parser.add_argument("--cards", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--server", help="URL of a database on an existing server.")
    options = parser.parse_args()
    with benchmark_server(options.server) as url, closing(BenchmarkDatabases(url)) as databases:
        databases.build(options.cards, set())
        with databases.temporary_copy("kyndo") as trial:
            durations = run_rounds(trial, options.rounds)
    base = median(durations["bare pg_dump"])
    print(f"{options.cards:,} cards, medians of {pluralize(options.rounds, 'round')}\n")
    print("|              | seconds | relative to pg_dump |")
    print("| ------------ | ------: | ------------------: |")
    for name, seconds in durations.items():
        seconds_median = median(seconds)
        print(f"| {name:<12} | {seconds_median:7.1f} | {seconds_median / base:19.2f} |")


if __name__ == "__main__":
    main()
