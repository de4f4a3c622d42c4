"""Time and memory of loading a pack, compared with a bare COPY and one merge statement.

``python -m bench.load_pack --help``. Each first load uses a fresh copy of the same database.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from bench.engine.__main__ import benchmark_server
from bench.engine.databases import ROOT, BenchmarkDatabases, build_environment
from cards.packs.synthetic import iter_cards
from ops.formatting import pluralize

# The minimum of a load: COPY into a staging table, and one statement into catalogue and audit log.
_COPY_SQL = "COPY staged FROM STDIN"
_STAGING_TABLE_SQL = """
CREATE TEMPORARY TABLE staged (card_id varchar, title varchar, description text, rarity varchar,
    pack_id varchar, tags varchar[], metadata jsonb)
"""
_MERGE_SQL = """
WITH created AS (
    INSERT INTO cards (card_id, title, description, rarity, pack_id, tags, metadata) SELECT * FROM staged
    ON CONFLICT (card_id) DO NOTHING RETURNING *)
INSERT INTO audit_logs (action, object_type, object_id, performed_by, changes)
SELECT 'load_pack', 'cards.card', id::text, 'bench', jsonb_build_object(
    'card_id', jsonb_build_object('old', NULL, 'new', card_id),
    'title', jsonb_build_object('old', NULL, 'new', title),
    'description', jsonb_build_object('old', NULL, 'new', description),
    'rarity', jsonb_build_object('old', NULL, 'new', rarity),
    'rarity_v2', jsonb_build_object('old', NULL, 'new', rarity_v2),
    'pack_id', jsonb_build_object('old', NULL, 'new', pack_id),
    'tags', jsonb_build_object('old', NULL, 'new', tags),
    'metadata', jsonb_build_object('new', metadata)) FROM created
"""

INSERT_RULES_SQL = """
INSERT INTO presentation_rules (rarity, frame_color, sort_order)
VALUES ('common', '#CCCCCC', 1), ('rare', '#4A90E2', 2), ('epic', '#9B59B6', 3), ('legendary', '#F39C12', 4)
"""


def iter_card_rows(count: int) -> Iterator[dict[str, Any]]:
    for _, card_id, title, description, rarity, _, pack, tags, metadata in iter_cards(count, 1, "bench"):
        yield {
            "cardId": card_id,
            "title": title,
            "description": description,
            "rarity": rarity,
            "packId": pack,
            "tags": tags,
            "metadata": json.loads(metadata),
        }


def write_json(path: Path, count: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write('{"packId": "bench", "title": "Bench", "cards": [\n')
        for number, row in enumerate(iter_card_rows(count)):
            file.write((",\n" if number else "") + json.dumps(row, ensure_ascii=False))
        file.write("\n]}\n")


def write_csv(path: Path, count: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        for number, row in enumerate(iter_card_rows(count)):
            if not number:
                table.writerow(row)
            metadata = json.dumps(row["metadata"], ensure_ascii=False)
            table.writerow([*list(row.values())[:5], "|".join(row["tags"]), metadata])


def write_copy(path: Path, count: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in iter_card_rows(count):
            tags = "{" + ",".join(f'"{tag}"' for tag in row["tags"]) + "}"
            metadata = json.dumps(row["metadata"], ensure_ascii=False)
            file.write("\t".join([*list(row.values())[:5], tags, metadata]) + "\n")


def time_bare_copy(url: str, path: Path) -> tuple[float, float]:
    """Return the seconds of COPY and one merge statement; their memory is not measured (0.0)."""
    started_at = time.perf_counter()
    with psycopg.connect(url) as connection, connection.cursor() as cursor, path.open("rb") as file:
        cursor.execute(_STAGING_TABLE_SQL)
        with cursor.copy(_COPY_SQL) as copy:
            while block := file.read(1 << 16):
                copy.write(block)
        cursor.execute(_MERGE_SQL)
    return time.perf_counter() - started_at, 0.0


def time_load_pack(url: str, path: Path, *flags: str) -> tuple[float, float]:
    """Return the seconds and the peak MiB of the process."""
    started_at = time.perf_counter()
    command = [sys.executable, str(ROOT / "manage.py"), "load_pack", str(path), *flags]
    process = subprocess.Popen(command, env=build_environment(url), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"load_pack ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - started_at, usage.ru_maxrss / 1024


def run_rounds(
    databases: BenchmarkDatabases, folder: Path, count: int, rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """Return the seconds and peak MiB of each step in each round."""
    writers = {"copy": write_copy, "json": write_json, "csv": write_csv}
    for name, write in writers.items():
        write(folder / f"pack.{name}", count)
    steps: dict[str, list[tuple[str, Callable[[str, Path], tuple[float, float]]]]] = {
        "copy": [("bare COPY and merge", time_bare_copy)],
        "json": [
            ("JSON, created", lambda url, path: time_load_pack(url, path, "--execute")),
            ("JSON, a second time", lambda url, path: time_load_pack(url, path, "--execute")),
            ("JSON, a preview of that", time_load_pack),
        ],
        "csv": [("CSV, created", lambda url, path: time_load_pack(url, path, "--execute"))],
    }
    measurements: dict[str, list[tuple[float, float]]] = {}
    for _ in range(rounds):
        for kind, named_steps in steps.items():
            with databases.temporary_copy("kyndo") as url:
                for name, step in named_steps:
                    measurements.setdefault(name, []).append(step(url, folder / f"pack.{kind}"))
                    print(f"{name}: {measurements[name][-1][0]:.1f} s", file=sys.stderr, flush=True)
    return measurements


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.load_pack", description=__doc__)
    parser.add_argument("--cards", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--server", help="URL of a database on an existing server.")
    options = parser.parse_args()
    with (
        benchmark_server(options.server) as url,
        tempfile.TemporaryDirectory() as folder,
        closing(BenchmarkDatabases(url)) as databases,
    ):
        databases.build(1, set())
        with psycopg.connect(databases.database_url("kyndo")) as connection:
            connection.execute(INSERT_RULES_SQL)
        measurements = run_rounds(databases, Path(folder), options.cards, options.rounds)
    base = median(seconds for seconds, _ in measurements["bare COPY and merge"])
    print(f"{options.cards:,} cards, medians of {pluralize(options.rounds, 'round')}\n")
    print("|                         | seconds | relative | rows/s  | MiB |")
    print("| ----------------------- | ------: | -------: | ------: | --: |")
    for name, times in measurements.items():
        seconds, peak_mib = median(t for t, _ in times), max(m for _, m in times)
        rate, mib = f"{options.cards / seconds:,.0f}", f"{peak_mib:.0f}" if peak_mib else ""
        print(f"| {name:<23} | {seconds:7.1f} | {seconds / base:8.2f} | {rate:>7} | {mib:>3} |")


if __name__ == "__main__":
    main()
