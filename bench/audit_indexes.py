"""The cost of each index of the audit log for writes, and of a foreign key.

``python -m bench.audit_indexes --help``. Each measurement backfills rarity_v2 of all cards on a fresh copy of
the same database, 1,000 cards per transaction, with a bare UPDATE and INSERT.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psycopg
from psycopg import sql

from bench.engine.__main__ import benchmark_server
from bench.engine.databases import ROOT, BenchmarkDatabases
from bench.engine.results import describe_machine
from ops.formatting import pluralize

_BATCH_SIZE = 1_000


@dataclass(frozen=True)
class IndexVariant:
    """``setup_sql`` changes the table first; audit rows get ``extra_columns`` with ``extra_values``."""

    setup_sql: str
    extra_columns: str = ""
    extra_values: str = ""


INDEX_VARIANTS = {
    "current indexes": IndexVariant(""),
    "no index on the object": IndexVariant("DROP INDEX idx_audit_logs_object"),
    "no index on the person": IndexVariant("DROP INDEX idx_audit_logs_person"),
    "no unique (run, object)": IndexVariant("DROP INDEX audit_logs_run_object_uniq"),
    "one unique (object, run) for both": IndexVariant(
        "DROP INDEX idx_audit_logs_object, audit_logs_run_object_uniq;"
        "CREATE UNIQUE INDEX ON audit_logs (object_id, run_id)"
    ),
    "no primary key": IndexVariant("ALTER TABLE audit_logs DROP CONSTRAINT audit_logs_pkey"),
    "BRIN on created_at added": IndexVariant("CREATE INDEX ON audit_logs USING brin (created_at)"),
    "btree on created_at added": IndexVariant("CREATE INDEX ON audit_logs (created_at)"),
    "foreign key to the run added": IndexVariant(
        "CREATE TABLE trial_run (id bigint PRIMARY KEY); INSERT INTO trial_run VALUES (1);"
        "ALTER TABLE audit_logs ADD FOREIGN KEY (run_id) REFERENCES trial_run"
    ),
    "foreign key to the card added, with its index": IndexVariant(
        "ALTER TABLE audit_logs ADD card_id bigint REFERENCES cards ON DELETE SET NULL;"
        "CREATE INDEX ON audit_logs (card_id)",
        ", card_id",
        ", id",
    ),
}

_BACKFILL_SQL = """
WITH batch AS (
    SELECT id, rarity_v2 AS old, rarity AS new FROM cards
    WHERE rarity_v2 IS NULL AND id > %s AND id <= %s ORDER BY id FOR NO KEY UPDATE SKIP LOCKED),
changed AS (
    UPDATE cards SET rarity_v2 = batch.new, updated_at = now() FROM batch
    WHERE cards.id = batch.id RETURNING cards.id, batch.old, cards.rarity_v2 AS new)
INSERT INTO audit_logs (run_id, action, object_type, object_id, performed_by, changes{columns})
SELECT 1, 'backfill_rarity_v2', 'cards.card', id::text, 'bench', jsonb_build_object('rarity_v2',
    jsonb_build_object('old', to_jsonb(old), 'new', to_jsonb(new))){values} FROM changed
"""


@dataclass(frozen=True)
class RowCost:
    """The cost of one row: wall-clock seconds, CPU seconds of the server's process, bytes of WAL."""

    wall_seconds: float
    cpu_seconds: float
    wal_bytes: float


def measure_cost(url: str, variant: IndexVariant, rows: int) -> RowCost:
    """Backfill all cards of a fresh copy; return the cost per row."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL(variant.setup_sql) if variant.setup_sql else "SELECT 1")
        connection.execute("VACUUM (ANALYZE) cards, audit_logs")
        connection.execute("CHECKPOINT")
        statement = _BACKFILL_SQL.format(columns=variant.extra_columns, values=variant.extra_values)
        (max_id,) = connection.execute("SELECT max(id) FROM cards").fetchone() or (0,)
        before = _wal_position(connection), _backend_cpu_seconds(connection), time.perf_counter()
        for start in range(0, max_id, _BATCH_SIZE):
            connection.execute(statement, (start, start + _BATCH_SIZE))
        after = _wal_position(connection), _backend_cpu_seconds(connection), time.perf_counter()
    wal_bytes, cpu_seconds, wall_seconds = (end - begin for begin, end in zip(before, after, strict=True))
    return RowCost(wall_seconds / rows, cpu_seconds / rows, wal_bytes / rows)


def _wal_position(connection: psycopg.Connection) -> float:
    (position,) = connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchone() or (0,)
    return float(position)


def _backend_cpu_seconds(connection: psycopg.Connection) -> float:
    """Return the CPU seconds of the server's process, which are useful also on a busy machine."""
    stat = Path(f"/proc/{connection.info.backend_pid}/stat")
    if not stat.exists():
        return 0.0
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_rounds(databases: BenchmarkDatabases, rows: int, count: int) -> list[dict[str, RowCost]]:
    """Measure all variants in each round, so that other load on the machine affects them equally."""
    rounds = []
    for number in range(count):
        costs = {}
        for name, variant in INDEX_VARIANTS.items():
            with databases.temporary_copy("kyndo") as url:
                costs[name] = measure_cost(url, variant, rows)
            print(
                f"{number + 1}: {name}: {costs[name].cpu_seconds * 1e6:.1f} µs", file=sys.stderr, flush=True
            )
        rounds.append(costs)
    return rounds


def format_table(rounds: list[dict[str, RowCost]]) -> str:
    """Format the medians of the rounds, absolute and relative to the current indexes."""
    lines = [
        "| audit_logs | server time per row | relative | wall clock, relative | WAL per row | relative |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name in INDEX_VARIANTS:
        baseline = [costs["current indexes"] for costs in rounds]
        variant_costs = [costs[name] for costs in rounds]
        cpu = (
            median(m.cpu_seconds / b.cpu_seconds for m, b in zip(variant_costs, baseline, strict=True))
            if baseline[0].cpu_seconds
            else 0
        )
        clock = median(m.wall_seconds / b.wall_seconds for m, b in zip(variant_costs, baseline, strict=True))
        wal = median(m.wal_bytes / b.wal_bytes for m, b in zip(variant_costs, baseline, strict=True))
        spent, written = (
            median(m.cpu_seconds for m in variant_costs) * 1e6,
            median(m.wal_bytes for m in variant_costs),
        )
        lines.append(f"| {name} | {spent:.1f} µs | {cpu:.2f} | {clock:.2f} | {written:.0f} B | {wal:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.audit_indexes", description=__doc__)
    parser.add_argument("--cards", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--server", help="URL of a database on an existing server.")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "audit-indexes.md")
    options = parser.parse_args()
    with benchmark_server(options.server) as url, closing(BenchmarkDatabases(url)) as databases:
        databases.build(options.cards, set())
        rounds = run_rounds(databases, options.cards, options.rounds)
        medians = f"medians of {pluralize(options.rounds, 'round')}"
        conditions = f"{options.cards:,} cards, {medians}, {describe_machine(url)}."
    head, _, _ = options.docs.read_text().partition(_DOCS_MARKER)
    options.docs.write_text(f"{head}{_DOCS_MARKER}\n\n{conditions}\n\n{format_table(rounds)}\n")
    print(format_table(rounds))


_DOCS_MARKER = "<!-- written by python -m bench.audit_indexes -->"

if __name__ == "__main__":
    main()
