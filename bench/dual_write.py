"""What the dual write of a column change costs a player's statements.

``python -m bench.dual_write --help``. pgbench executes each statement against copies of one table in turns:
without triggers (where it sets both columns itself), with a dual write, and with a dual write that does not
record who writes the old column. Ratios are computed within a round.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psycopg

from bench.engine.__main__ import benchmark_server
from bench.engine.databases import BenchmarkDatabases
from bench.engine.results import describe_machine
from ops.formatting import pluralize

PLAIN, DUAL, UNRECORDED = "plain", "dual", "unrecorded"
TABLES = (PLAIN, DUAL, UNRECORDED)
_PGBENCH = shutil.which("pgbench", path=f"{os.environ['PATH']}:/usr/lib/postgresql/15/bin")
_COPY_SQL = "COPY {table} (card_id, title, pack_id, {columns}) FROM STDIN"
_COPY_ROWS_SQL = (
    "COPY (SELECT 'c' || n, 'Title', 'pack', {values} FROM generate_series(1, {rows}) n) TO STDOUT"
)
_TABLE_SQL = """
DROP TABLE IF EXISTS {table} CASCADE;
CREATE TABLE {table} (LIKE cards INCLUDING ALL);
ALTER TABLE {table} ALTER rarity SET DEFAULT 'common';
INSERT INTO {table} SELECT * FROM cards ORDER BY id;
UPDATE {table} SET rarity_v2 = rarity;
SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}));
"""


@dataclass(frozen=True)
class Work:
    """A pgbench script; ``alone`` is the statement for the table without triggers, if it is another."""

    script: str
    alone: str = ""


def _update(assignments: str) -> str:
    row = "\\set id random(1, :rows)\n\\set n random(1, 100000)\n"
    return f"{row}UPDATE {{table}} SET {assignments} WHERE id = :id"  # noqa: S608


def _insert(columns: str, values: str) -> str:
    row = "gen_random_uuid()::text, 't', 'p'"
    return f"INSERT INTO {{table}} (card_id, title, pack_id, {columns}) VALUES ({row}, {values})"  # noqa: S608


_UPDATE_BOTH = _update("rarity = :n::int::text, rarity_v2 = :n::int::text")
_INSERT_BOTH = _insert("rarity, rarity_v2", "'rare', 'rare'")
WORKS = {
    "UPDATE of another column": Work(_update("title = :n::int::text")),
    "UPDATE of all columns, the two unchanged": Work(
        _update("title = :n::int::text, rarity = rarity, rarity_v2 = rarity_v2")
    ),
    "UPDATE of the old column": Work(_update("rarity = :n::int::text"), _UPDATE_BOTH),
    "UPDATE of the new column": Work(_update("rarity_v2 = :n::int::text"), _UPDATE_BOTH),
    "INSERT of both columns": Work(_INSERT_BOTH),
    "INSERT of the old column": Work(_insert("rarity", "'rare'"), _INSERT_BOTH),
    "INSERT of the new column": Work(_insert("rarity_v2", "'rare'"), _INSERT_BOTH),
}
_COPIED = {"both columns": ("rarity, rarity_v2", "'rare', 'rare'"), "the old column": ("rarity", "'rare'")}


def create_tables(url: str) -> None:
    """Create the three tables in the database, with the same rows."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kyndo.settings")
    os.environ["DATABASE_URL"] = url
    django.setup()
    from ops.sql.dual_write import DualWrite
    from ops.sql.dual_write_triggers import create_statements

    with psycopg.connect(url, autocommit=True) as connection:
        for table in TABLES:
            connection.execute(_TABLE_SQL.format(table=table))
            if table != PLAIN:
                dual_write = DualWrite(
                    f"bench_{table}",
                    table,
                    "rarity",
                    "rarity_v2",
                    "({old})::varchar",
                    "({new})::varchar",
                    default="'common'",
                )
                connection.execute(f"ALTER TABLE {table} ALTER rarity DROP DEFAULT")
                for statement in create_statements(dual_write, "public"):
                    connection.execute(statement)
        for part in ("by_insert", "by_update"):
            connection.execute(f"DROP TRIGGER dual_write_bench_{UNRECORDED}_{part} ON {UNRECORDED}")
        connection.execute(f"VACUUM (FREEZE, ANALYZE) {', '.join(TABLES)}")


def time_statement(url: str, folder: Path, work: Work, table: str, rows: int, seconds: float) -> float:
    """Return the average latency of the statement, in microseconds."""
    script = folder / "script.sql"
    script.write_text(
        (work.alone if work.alone and table == PLAIN else work.script).format(table=table) + ";\n"
    )
    result = subprocess.run(
        [
            str(_PGBENCH),
            "-n",
            "-M",
            "prepared",
            "-D",
            f"rows={rows}",
            "-T",
            f"{seconds:.0f}",
            "-f",
            script,
            url,
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    latency = re.search(r"latency average = ([\d.]+) ms", result.stdout)
    if not latency:
        raise SystemExit(f"pgbench printed no latency:\n{result.stdout}{result.stderr}")
    return float(latency[1]) * 1000


def time_copy(url: str, columns: str, values: str, table: str, rows: int) -> float:
    """Return the microseconds for each row of a COPY, which is rolled back."""
    if table == PLAIN:
        columns, values = _COPIED["both columns"]
    statement = _COPY_SQL.format(table=table, columns=columns)
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        with cursor.copy(_COPY_ROWS_SQL.format(values=values, rows=rows)) as copy:
            data = b"".join(copy)
        started_at = time.perf_counter()
        with cursor.copy(statement) as copy:
            copy.write(data)
        duration = time.perf_counter() - started_at
        connection.rollback()
        connection.autocommit = True
        connection.execute(f"VACUUM {table}")
    return duration / rows * 1e6


def measure(name: str, rounds: int, time_once: Callable[[str], float]) -> str:
    """Measure the three tables in alternating rounds, and return the line of the report."""
    times: dict[str, list[float]] = {table: [] for table in TABLES}
    for number in range(rounds):
        for table in TABLES if number % 2 else reversed(TABLES):
            times[table].append(time_once(table))
    dual = [a / b for a, b in zip(times[DUAL], times[PLAIN], strict=True)]
    recorder = [a / b for a, b in zip(times[DUAL], times[UNRECORDED], strict=True)]
    line = f"| {name} | {median(times[PLAIN]):.1f} | {_ratio(dual)} | {_ratio(recorder)} |"
    print(line, file=sys.stderr, flush=True)
    return line


def _ratio(values: list[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.dual_write", description=__doc__)
    parser.add_argument("--cards", type=int, default=100_000)
    parser.add_argument("--copied", type=int, default=100_000, help="Rows of a COPY (default: 100000).")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=2, help="Of each statement in a round (default: 2).")
    parser.add_argument(
        "--asynchronous",
        action="store_true",
        help="With synchronous_commit off: the cost for the server alone, without that of the disk.",
    )
    parser.add_argument("--server", help="URL of a database on an existing server.")
    options = parser.parse_args()
    if _PGBENCH is None:
        raise SystemExit("pgbench is missing: apt-get install postgresql-15")
    if options.asynchronous:
        os.environ["PGOPTIONS"] = "-c synchronous_commit=off"
    with (
        benchmark_server(options.server) as server,
        tempfile.TemporaryDirectory() as folder,
        closing(BenchmarkDatabases(server)) as databases,
    ):
        databases.build(options.cards, set())
        url = databases.database_url("kyndo")
        create_tables(url)
        lines = [
            measure(
                name,
                options.rounds,
                lambda table, work=work: time_statement(  # type: ignore[misc]
                    url, Path(folder), work, table, options.cards, options.seconds
                ),
            )
            for name, work in WORKS.items()
        ]
        for name, (columns, values) in _COPIED.items():
            lines.append(
                measure(
                    f"COPY of {options.copied:,} rows with {name}, each row",
                    options.rounds,
                    lambda table, given=(columns, values): time_copy(  # type: ignore[misc]
                        url, *given, table, options.copied
                    ),
                )
            )
        machine = describe_machine(server)
    asynchronous = ", synchronous_commit off in the sessions" if options.asynchronous else ""
    print(f"{options.cards:,} cards, {pluralize(options.rounds, 'round')}; {machine}{asynchronous}.\n")
    print("| statement | without triggers, µs | with the dual write | of that, recording who writes |")
    print("| --- | ---: | ---: | ---: |")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
