"""Speed and memory of export and import, compared with PostgreSQL's own COPY.

``python -m bench.export --help``. The limit is psql's COPY of valid JSON into a file. Slow writers are
stopped after some seconds, and their speed is computed from the rows written by then.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psycopg

from bench.engine.__main__ import benchmark_server
from bench.engine.databases import ROOT, BenchmarkDatabases, build_environment
from bench.export_writers import BASELINE_COPY
from bench.load_pack import INSERT_RULES_SQL
from kyndo.localservices.binaries import find_postgres_bin
from ops.formatting import pluralize

_MANAGE_COMMAND = [sys.executable, str(ROOT / "manage.py")]
_WRITER_COMMAND = [sys.executable, "-m", "bench.export_writers"]
_EXPORTED_TABLES = "cards, assets, presentation_rules, audit_logs"


@dataclass(frozen=True)
class ProcessUsage:
    """Of one process: seconds from start to end, peak memory in MiB, and rows written."""

    seconds: float
    peak_mib: float
    rows: int


def run_process(
    command: Sequence[str], url: str, file: Path | None = None, timeout: float = 3600
) -> ProcessUsage:
    """Run a process to its end, or for ``timeout`` seconds; the lines in ``file`` are its rows."""
    started_at = time.perf_counter()
    process = subprocess.Popen(command, env=build_environment(url), cwd=ROOT, stdout=subprocess.DEVNULL)
    while (wait_status := os.wait4(process.pid, os.WNOHANG))[0] == 0:
        if time.perf_counter() - started_at > timeout:
            process.kill()
        time.sleep(0.005)
    seconds = time.perf_counter() - started_at
    if os.waitstatus_to_exitcode(wait_status[1]) not in (0, -9):
        raise SystemExit(f"{' '.join(command)} failed; see the output above")
    return ProcessUsage(seconds, wait_status[2].ru_maxrss / 1024, count_lines(file) if file else 0)


def count_lines(path: Path) -> int:
    """Count the line feeds of a file."""
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


class ExportBenchmark:
    """The measurements of one database, and their report."""

    def __init__(self, url: str, folder: Path, cards: int) -> None:
        self.url, self.folder, self.cards = url, folder, cards
        self.file = folder / "cards.jsonl"
        self.file_size = 0
        self.measurements: dict[str, list[ProcessUsage]] = {}

    def record_measurement(self, name: str, measure: Callable[[], ProcessUsage]) -> None:
        """Measure, and keep the result under ``name``."""
        os.sync()  # otherwise a measurement includes the pending writes of the one before
        self.measurements.setdefault(name, []).append(usage := measure())
        print(f"{name}: {usage.seconds:.1f} s, {usage.peak_mib:.0f} MiB", file=sys.stderr, flush=True)

    def measure_psql(self) -> ProcessUsage:
        psql = str(find_postgres_bin(18) / "psql")
        return run_process(
            [psql, self.url, "-qX", "-c", BASELINE_COPY, "-o", str(self.file)], self.url, self.file
        )

    def measure_export(self, *flags: str) -> ProcessUsage:
        target = self.folder / "export"
        shutil.rmtree(target, ignore_errors=True)
        return run_process(
            [*_MANAGE_COMMAND, "export_json", "--output", str(target), "--audit-logs", "0", *flags], self.url
        )

    def measure_writer(self, name: str, timeout: float = 3600) -> ProcessUsage:
        return run_process([*_WRITER_COMMAND, name, str(self.file)], self.url, self.file, timeout)

    def measure_dumpdata(self, timeout: float) -> ProcessUsage:
        command = [
            *_MANAGE_COMMAND,
            "dumpdata",
            "cards.card",
            "--format",
            "jsonl",
            "--output",
            str(self.file),
        ]
        return run_process(command, self.url, self.file, timeout)

    def run_rounds(self, count: int, timeout: float) -> None:
        for number in range(count):
            self.record_measurement("psql", self.measure_psql)
            self.record_measurement("psycopg's copy", lambda: self.measure_writer("psycopg"))
            self.record_measurement("export_json", self.measure_export)
            self.file_size = (self.folder / "export" / "cards.json").stat().st_size
            self.record_measurement("export_json --compress", lambda: self.measure_export("--compress"))
            if not number:
                for name in ("orjson", "json", "instances"):
                    self.record_measurement(name, lambda name=name: self.measure_writer(name, timeout))  # type: ignore[misc]
                self.record_measurement("dumpdata", lambda: self.measure_dumpdata(timeout))

    def measure_import(self) -> None:
        """Measure the import into empty tables, and COPY of text into a table without indexes."""
        self.measure_export()
        text = self.folder / "cards.copy"
        psql = [str(find_postgres_bin(18) / "psql"), self.url, "-qX", "-v", "ON_ERROR_STOP=1"]
        run_process([*psql, "-c", f"\\copy cards TO '{text}'"], self.url)
        with psycopg.connect(self.url) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute(f"CREATE TABLE bare (LIKE cards); TRUNCATE {_EXPORTED_TABLES}")
        self.record_measurement(
            "bare COPY", lambda: run_process([*psql, "-c", f"\\copy bare FROM '{text}'"], self.url)
        )
        target = str(self.folder / "export")
        self.record_measurement(
            "import_json",
            lambda: run_process([*_MANAGE_COMMAND, "import_json", target, "--execute"], self.url),
        )
        self.record_measurement(
            "verify_export", lambda: run_process([*_MANAGE_COMMAND, "verify_export", target], self.url)
        )

    def format_table(self) -> list[str]:
        size = self.file_size / self.cards  # bytes per row
        limit = self._median_throughput("psql", size)
        head = ["| | MB/s | relative to the limit | seconds | MiB |", "| --- | ---: | ---: | ---: | ---: |"]
        exports = [
            name for name in self.measurements if name not in ("bare COPY", "import_json", "verify_export")
        ]
        lines = [*head, *(self._format_row(name, size, limit) for name in exports)]
        if "bare COPY" not in self.measurements:
            return lines
        lines += ["", *head]
        bare_throughput = self._median_throughput("bare COPY", size)
        return [
            *lines,
            *(
                self._format_row(n, size, bare_throughput)
                for n in ("bare COPY", "import_json", "verify_export")
            ),
        ]

    def format_targets(self) -> list[str]:
        ratios = [
            limit.seconds / export.seconds
            for limit, export in zip(self.measurements["psql"], self.measurements["export_json"], strict=True)
        ]
        peak = max(
            usage.peak_mib
            for name in ("export_json", "export_json --compress")
            for usage in self.measurements[name]
        )
        share = median(ratios)
        return [
            f"- relative to the limit, at least 0.85: **{share:.2f}**"
            f" ({min(ratios):.2f} to {max(ratios):.2f}), {'met' if share >= 0.85 else 'NOT met'}",
            f"- memory, under 80 MB: **{peak * 1.048576:.0f} MB**,"
            f" {'met' if peak * 1.048576 < 80 else 'NOT met'}",
        ]

    def _median_throughput(self, name: str, size: float) -> float:
        return median(
            (usage.rows or self.cards) * size / usage.seconds / 1e6 for usage in self.measurements[name]
        )

    def _format_row(self, name: str, size: float, limit: float) -> str:
        speed = self._median_throughput(name, size)
        seconds = median(usage.seconds for usage in self.measurements[name])
        rows = self.measurements[name][0].rows
        part = f", {rows:,} rows" if 0 < rows < self.cards else ""
        mib = max(usage.peak_mib for usage in self.measurements[name])
        return f"| {name}{part} | {speed:.1f} | {speed / limit:.2f} | {seconds:.1f} | {mib:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.export", description=__doc__)
    parser.add_argument("--cards", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--most", type=float, default=15, help="Time limit of a slow writer in seconds (default: 15)."
    )
    parser.add_argument("--no-import", action="store_true", help="Measure only the export.")
    parser.add_argument("--server", help="URL of a database on an existing server.")
    options = parser.parse_args()
    with (
        benchmark_server(options.server) as url,
        tempfile.TemporaryDirectory(dir=ROOT / "var") as folder,
        closing(BenchmarkDatabases(url)) as databases,
    ):
        databases.build(options.cards, set())
        with psycopg.connect(databases.database_url("kyndo")) as connection:
            connection.execute(INSERT_RULES_SQL)
        bench = ExportBenchmark(databases.database_url("kyndo"), Path(folder), options.cards)
        bench.run_rounds(options.rounds, options.most)
        if not options.no_import:
            bench.measure_import()
        print(f"{options.cards:,} cards, medians of {pluralize(options.rounds, 'round')}\n")
        print("\n".join([*bench.format_table(), "", *bench.format_targets()]))


if __name__ == "__main__":
    main()
