"""Thumbnails per second: a run of one and of two processes, compared with loops of plain Pillow.

``python -m bench.thumbnails --help``. The plain loop renders the same pictures and writes each to a file,
without database, audit log, asset rows and fsync. The times do not include the start of Python.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from statistics import median

import psycopg

from bench.engine.__main__ import benchmark_server
from bench.engine.databases import ROOT, BenchmarkDatabases, build_environment
from ops.formatting import pluralize

_SAMPLE_PACK = "cards/sample/colombia-birds.json"
# N cards, with the illustrations of the sample pack in turn.
_INSERT_CARDS_SQL = """
INSERT INTO cards (card_id, title, image, rarity, rarity_v2, pack_id)
SELECT 'card-' || n, 'Card', birds.image, birds.rarity, birds.rarity, 'bench' FROM generate_series(1, %s) AS n
JOIN (SELECT row_number() OVER (ORDER BY id) AS number, count(*) OVER () AS many, image, rarity FROM cards
    WHERE image <> '')
    AS birds ON birds.number = 1 + n %% birds.many
"""
_PLAIN_PILLOW_SCRIPT = """
import sys, time
from pathlib import Path
import django
django.setup()
from cards.models import Card, PresentationRule
from cards.thumbnails.render import render_thumbnail
from cards.thumbnails.style import FrameStyle
rules = PresentationRule.objects.all()
styles = {r.rarity: FrameStyle(r.frame_color, r.glow_effect, r.badge_icon) for r in rules}
cards = list(Card.objects.filter(pk__gte=0, thumbnail="").values_list("pk", "image", "rarity"))
part, parts, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
began = time.perf_counter()
for pk, image, rarity in cards[part::parts]:
    (folder / f"{pk}.webp").write_bytes(render_thumbnail(image, styles[rarity]))
print(time.perf_counter() - began)
"""


def run_manage(env: dict[str, str], *args: str) -> None:
    subprocess.run(
        [sys.executable, ROOT / "manage.py", *args], env=env, cwd=ROOT, check=True, stdout=subprocess.DEVNULL
    )


def time_plain_pillow(env: dict[str, str], processes: int) -> float:
    """Return the seconds of the slowest of ``processes`` concurrent loops."""
    with tempfile.TemporaryDirectory() as folder:
        loops = [
            subprocess.Popen(
                [sys.executable, "-c", _PLAIN_PILLOW_SCRIPT, str(number), str(processes), folder],
                env=env,
                cwd=ROOT,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(processes)
        ]
        return max(float(loop.communicate()[0]) for loop in loops)


def time_run(env: dict[str, str], url: str, processes: int) -> float:
    """Return the seconds of a run by ``processes`` processes."""
    create = (
        "from ops.operations import registry; from ops.runs.creation import RunRequest, create_run;"
        "create_run(RunRequest("
        "registry.get_operation('render_thumbnails'), 'bench', lanes={}, without_backup=True))"
    )
    run_manage(env, "shell", "--no-imports", "-c", create.format(4 * processes))
    resume = [sys.executable, str(ROOT / "manage.py"), "runs", "resume", "1"]
    workers = [
        subprocess.Popen(resume, env=env, cwd=ROOT, stdout=subprocess.DEVNULL) for _ in range(processes)
    ]
    if sum(worker.wait() for worker in workers):
        raise SystemExit("A run did not succeed.")
    with psycopg.connect(url) as connection:
        ((seconds,),) = connection.execute(
            "SELECT extract(epoch FROM finished_at - started_at)::float FROM ops_run WHERE id = 1"
        ).fetchall()
    return float(seconds)


@contextmanager
def temporary_catalogue(databases: BenchmarkDatabases, cards: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield a fresh database of ``cards`` cards, and the environment with its pictures."""
    with databases.temporary_copy("kyndo") as url, tempfile.TemporaryDirectory() as media:
        env = build_environment(url) | {"MEDIA_ROOT": media}
        run_manage(env, "load_rules", "--execute")
        run_manage(env, "load_pack", _SAMPLE_PACK, "--execute")
        with psycopg.connect(url) as connection:
            connection.execute(_INSERT_CARDS_SQL, [cards])
            connection.execute("DELETE FROM cards WHERE pack_id <> 'bench'")
            connection.execute("DELETE FROM ops_claim")
            connection.execute("TRUNCATE ops_run RESTART IDENTITY CASCADE")
        yield url, env


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.thumbnails", description=__doc__)
    parser.add_argument("--cards", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--server", help="URL of a database on an existing server.")
    options = parser.parse_args()
    durations: dict[tuple[str, int], list[float]] = {}
    with benchmark_server(options.server) as url, closing(BenchmarkDatabases(url)) as databases:
        databases.build(1, set())
        for _ in range(options.rounds):
            for processes in (1, 2):
                with temporary_catalogue(databases, options.cards) as (copy, env):
                    durations.setdefault(("plain", processes), []).append(time_plain_pillow(env, processes))
                    durations.setdefault(("run", processes), []).append(time_run(env, copy, processes))
                    print({key: times[-1] for key, times in durations.items()}, file=sys.stderr, flush=True)
    print(f"{options.cards:,} cards, medians of {pluralize(options.rounds, 'round')}\n")
    print("| processes | plain Pillow, cards/s | a run, cards/s | relative |")
    print("| --------: | --------------------: | -------------: | -------: |")
    for processes in (1, 2):
        bare, ours = (options.cards / median(durations[name, processes]) for name in ("plain", "run"))
        print(f"| {processes} | {bare:.1f} | {ours:.1f} | {ours / bare:.2f} |")


if __name__ == "__main__":
    main()
