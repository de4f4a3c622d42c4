"""``python -m bench.change_sets``: a change set beside a promotion of as many chosen cards.

Both change the same cards, in turn, from the request to the end of the run, so that their ratio is of the
same moment. Also the seconds to stage the cells and to show their first page with all counts.
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

_PAGE_SIZE = 100


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.change_sets", description=__doc__)
    parser.add_argument("--cards", type=int, default=1_000_000, help="Cards in the table.")
    parser.add_argument("--cells", type=int, nargs="+", default=[5_000, 100_000], help="Edited cells.")
    parser.add_argument("--rounds", type=int, default=5)
    # The measurement, in a process with the environment of the database.
    parser.add_argument("--on", metavar="JSON", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    if options.on:
        print(json.dumps(_measure(**json.loads(options.on))))
        return
    with benchmark_server(None) as url:
        target = build_database(url, options.cards)
        print("| cells | stage, s | preview, s | run, rows/s | promotion, rows/s | ratio |")
        print("|---:|---:|---:|---:|---:|---:|")
        for count in options.cells:
            print(_format_row(count, _measure_in_subprocess(target, count, options.rounds)), flush=True)


def build_database(url: str, cards: int) -> str:
    """Return the URL of a new database with so many cards."""
    target = urlsplit(url)._replace(path=f"/change_sets_{cards}").geturl()
    database = urlsplit(target).path.strip("/")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {database}")
        connection.execute(f"CREATE DATABASE {database} TEMPLATE template0")
    for command in (
        ("migrate", "--verbosity", "0"),
        ("load_rules", "--execute"),
        ("generate_cards", str(cards)),
    ):
        subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *command],
            env=build_environment(target),
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    with psycopg.connect(target, autocommit=True) as connection:
        connection.execute("VACUUM (FREEZE, ANALYZE)")
    return target


def _measure_in_subprocess(url: str, count: int, rounds: int) -> list[dict[str, float]]:
    request = json.dumps({"count": count, "rounds": rounds})
    result = subprocess.run(
        [sys.executable, "-m", "bench.change_sets", "--on", request],
        env=build_environment(url),
        cwd=ROOT,
        check=True,
        text=True,
        stdout=subprocess.PIPE,
    )
    measured: list[dict[str, float]] = json.loads(result.stdout)
    return measured


def _format_row(count: int, rounds: list[dict[str, float]]) -> str:
    def middle(name: str) -> float:
        return median(each[name] for each in rounds)

    ratio = median(each["promotion"] / each["run"] for each in rounds)
    rates = f"{count / middle('run'):,.0f} | {count / middle('promotion'):,.0f}"
    return f"| {count:,} | {middle('stage'):.2f} | {middle('preview'):.2f} | {rates} | {ratio:.2f} |"


def _measure(count: int, rounds: int) -> list[dict[str, float]]:
    import django

    django.setup()
    from django.contrib.auth import get_user_model

    from cards.models import Card

    user = get_user_model().objects.create_superuser(f"bench {count}")
    keys = list(Card.objects.filter(rarity="common").order_by("pk").values_list("pk", flat=True)[:count])
    _measure_round(user, keys)  # caches of the process and of the server are filled
    return [_measure_round(user, keys) for _ in range(rounds)]


def _measure_round(user: Any, keys: list[int]) -> dict[str, float]:
    from cards.models import Card
    from ops.change_sets.cells import Cell
    from ops.change_sets.preview import read_change_set
    from ops.change_sets.staging import stage_cells
    from ops.operations.scope import Scope

    params = {"from_rarity": "common", "to_rarity": "rare"}
    promotion = _time(lambda: _run("bulk_promote", params, Scope.of_keys(keys)))
    cells = [Cell(str(key), "rarity", "common", "rare") for key in keys]
    stage = _time(lambda: stage_cells(Card, cells, user))
    reader = read_change_set(stage.result)
    preview = _time(lambda: (reader.page(_PAGE_SIZE), reader.count()))
    run = _time(lambda: _run("apply_change_set", {"change_set": stage.result.pk}))
    return {
        "promotion": promotion.seconds,
        "stage": stage.seconds,
        "preview": preview.seconds,
        "run": run.seconds,
    }


class _Timed:
    """What a function returned, and how many seconds it took; a run is reverted afterwards, not timed."""

    def __init__(self, work: Callable[[], Any]) -> None:
        started_at = monotonic()
        self.result = work()
        self.seconds = monotonic() - started_at


def _time(work: Callable[[], Any]) -> _Timed:
    from ops.models import Run

    timed = _Timed(work)
    if isinstance(timed.result, Run):
        _run("revert", {"run": timed.result.pk})
    return timed


def _run(name: str, params: dict[str, Any], scope: Any = None) -> Any:
    from threading import Event

    from bench.engine.worker import BatchEndRecorder
    from ops.engine.loop import run_batches
    from ops.operations import registry
    from ops.operations.scope import Scope
    from ops.runs.creation import RunRequest, create_run

    request = RunRequest(registry.get_operation(name), "benchmark", params=params, scope=scope or Scope())
    run = create_run(request)
    state = run_batches(run, BatchEndRecorder(), Event())
    if state not in ("succeeded", "verification_failed"):  # the checks include rows outside the run
        raise RuntimeError(f"run {run.pk} ended {state}: {run.error}")
    return run


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
