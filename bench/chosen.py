"""``python -m bench.chosen``: the time of a run over chosen rows, in a small table and in a large one.

A run over K keys, its revert, and a retry of K failed rows, from the request to the end, in both tables
alternately, so that their ratio is of the same moment. In the large one also a run over everything, both
reverts, and the time to store a run's keys, compared with a bare COPY of them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from statistics import median
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import psycopg

from bench.engine.__main__ import benchmark_server
from bench.engine.databases import ROOT, build_environment

_TABLE_SIZES = {"small": 50_000, "large": 5_000_000}
_KEY_COUNTS = [50, 5_000, 1_000_000]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.chosen", description=__doc__)
    parser.add_argument("--small", type=int, default=_TABLE_SIZES["small"], help="Cards in the small table.")
    parser.add_argument("--large", type=int, default=_TABLE_SIZES["large"], help="Cards in the large table.")
    parser.add_argument(
        "--keys", type=int, nargs="+", default=_KEY_COUNTS, help="Numbers of keys (50 5000 1000000)."
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--everything", action="store_true", help="Also measure what takes minutes in the large table."
    )
    parser.add_argument("--build", action="store_true", help="Only create the missing tables.")
    # One measurement, in a separate process.
    parser.add_argument("--on", metavar="JSON", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    if options.on:
        print(json.dumps(_run_measurement(**json.loads(options.on))))
        return
    with benchmark_server(None) as url:
        sizes = {"small": options.small, "large": options.large}
        urls = {name: _build_database(url, name, rows) for name, rows in sizes.items()}
        if not options.build:
            _print_report(urls, options)


def _build_database(url: str, name: str, rows: int) -> str:
    """Return the URL of a database with ``rows`` cards, created if missing."""
    target = urlsplit(url)._replace(path=f"/chosen_{name}_{rows}").geturl()
    with psycopg.connect(url, autocommit=True) as connection:
        database = urlsplit(target).path.strip("/")
        exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone()
        if not exists:
            connection.execute(f"CREATE DATABASE {database} TEMPLATE template0")
    _run_manage(target, "migrate", "--verbosity", "0")
    if not exists:
        _run_manage(target, "generate_cards", str(rows), "--without-rarity-v2")
        with psycopg.connect(target, autocommit=True) as connection:
            connection.execute("VACUUM (FREEZE, ANALYZE)")
    return target


def _run_manage(url: str, *args: str) -> None:
    command = [sys.executable, str(ROOT / "manage.py"), *args]
    subprocess.run(command, env=build_environment(url), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def _print_report(urls: dict[str, str], options: argparse.Namespace) -> None:
    print("| work | K | small, s | large, s | large / small |\n|---|---:|---:|---:|---:|", flush=True)
    for count in options.keys:
        rounds = [
            {
                name: _measure_in_subprocess(url, "chosen", count)
                for name, url in urls.items()
                if count <= getattr(options, name)
            }
            for _ in range(options.rounds)
        ]
        for kind in ("run", "revert", "retry"):
            small, large = (
                [round_[name][kind] for round_ in rounds if name in round_] for name in ("small", "large")
            )
            print(_format_row(kind, count, small, large), flush=True)
    if not options.everything:
        return
    measurements = [
        _measure_in_subprocess(urls["large"], "everything", max(options.keys)) for _ in range(options.rounds)
    ]
    print("\n| in the large table | median | rounds |\n|---|---:|---|")
    for name in measurements[0]:
        values = [round_[name] for round_ in measurements]
        print(f"| {name} | {median(values):,.2f} | {', '.join(f'{value:,.2f}' for value in values)} |")


def _format_row(kind: str, count: int, small: list[float], large: list[float]) -> str:
    ratio = median(b / a for a, b in zip(small, large, strict=True)) if small else None
    cells = [f"{median(small):.3f}" if small else "", f"{median(large):.3f}"]
    return f"| {kind} | {count:,} | {' | '.join(cells)} | {f'{ratio:.2f}' if ratio else ''} |"


def _measure_in_subprocess(url: str, kind: str, count: int) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.chosen", "--on", json.dumps({"kind": kind, "count": count})]
    result = subprocess.run(
        command, env=build_environment(url), cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE
    )
    seconds: dict[str, float] = json.loads(result.stdout)
    return seconds


def _run_measurement(kind: str, count: int) -> dict[str, float]:
    import django

    django.setup()
    return (_measure_chosen if kind == "chosen" else _measure_everything)(count)


def _measure_chosen(count: int) -> dict[str, float]:
    """Return the seconds of a run over ``count`` keys, of its revert, and of a retry of as many rows."""
    from ops.operations.scope import Scope

    keys = _select_middle_keys(count)
    run, seconds = _time_run("backfill_rarity_v2", scope=Scope.of_keys(keys))
    _, reverted = _time_run("revert", params={"run": run.pk})
    _insert_failures(run)
    again, retried = _time_run("backfill_rarity_v2", scope=Scope.of_failures(run))
    _time_run("revert", params={"run": again.pk})
    return {"run": seconds, "revert": reverted, "retry": retried}


def _select_middle_keys(count: int) -> list[int]:
    """Return adjacent keys in the middle of the table, which occupy as many pages in every table."""
    from cards.models import Card

    cards = Card.objects.order_by("pk").values_list("pk", flat=True)
    first = (cards.count() - count) // 2
    return list(cards[first : first + count])


def _insert_failures(run: Any) -> None:
    """Record a failure for each row that the run changed."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ops_failure (run_id, object_id, error)"
            " SELECT run_id, object_id, 'made by the benchmark' FROM audit_logs WHERE run_id = %s",
            [run.pk],
        )


def _measure_everything(count: int) -> dict[str, float]:
    """Measure a run over ``count`` cards, one over all, both reverts, and storing the keys."""
    from cards.models import Card
    from ops.operations.scope import Scope

    total, keys = Card.objects.count(), _select_middle_keys(count)
    chosen, chosen_seconds = _time_run("backfill_rarity_v2", scope=Scope.of_keys(keys), exclude_creation=True)
    _, chosen_revert = _time_run("revert", params={"run": chosen.pk}, exclude_creation=True)
    run, all_seconds = _time_run("backfill_rarity_v2", exclude_creation=True)
    _, all_revert = _time_run("revert", params={"run": run.pk}, exclude_creation=True)
    copy_seconds, store_seconds = _time_bare_copy(keys), _time_scope_store(keys)
    return {
        "chosen, rows/s": count / chosen_seconds,
        "everything, rows/s": total / all_seconds,
        "chosen, relative to everything": (count / chosen_seconds) / (total / all_seconds),
        "revert of the chosen: speed relative to the run": chosen_seconds / chosen_revert,
        "revert of everything: speed relative to the run": all_seconds / all_revert,
        "storing the keys: time relative to a bare COPY": store_seconds / copy_seconds,
    }


def _time_run(name: str, exclude_creation: bool = False, **request: Any) -> tuple[Any, float]:
    """Return the run and its seconds, from the request or, with ``exclude_creation``, from its start."""
    from threading import Event

    from bench.engine.worker import BatchEndRecorder
    from ops.engine.loop import run_batches
    from ops.operations import registry
    from ops.runs import lifecycle
    from ops.runs.creation import RunRequest, create_run

    started_at = monotonic()
    run = create_run(RunRequest(registry.get_operation(name), "benchmark", **request))
    lifecycle.start(run)
    started_at = monotonic() if exclude_creation else started_at
    state = run_batches(run, BatchEndRecorder(), Event())
    if state not in ("succeeded", "verification_failed"):  # the checks include rows outside the run
        raise RuntimeError(f"run {run.pk} ended {state}: {run.error}")
    return run, monotonic() - started_at


def _time_rolled_back(store: Callable[[], object]) -> float:
    from django.db import transaction

    with transaction.atomic():
        started_at = monotonic()
        store()
        seconds = monotonic() - started_at
        transaction.set_rollback(True)
    return seconds


def _time_bare_copy(keys: list[int]) -> float:
    """Return the seconds of a bare COPY of the keys into their table."""
    from django.db import connection

    run = _create_empty_run()
    lines = "".join(f"{run.pk}\t{key}\n" for key in keys)

    def copy() -> None:
        with (
            connection.connection.cursor() as cursor,
            cursor.copy("COPY ops_key (run_id, object_id) FROM STDIN") as into,
        ):
            into.write(lines)

    return _time_rolled_back(copy)


def _time_scope_store(keys: list[int]) -> float:
    from cards.models import Card
    from ops.operations.scope import Scope

    run, scope = _create_empty_run(), Scope.of_keys(keys)
    return _time_rolled_back(lambda: scope.store(run, Card))


def _create_empty_run() -> Any:
    from ops.models import Run

    return Run.objects.create(
        operation="benchmark", model="cards.card", columns=[], as_of="2026-01-01T00:00Z", total=0
    )


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
