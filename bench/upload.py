"""``python -m bench.upload``: a pack staged as a change set, beside the preview of ``load_pack``.

Of the pack's rows a fifth is new, half is changed and the rest is as stored. Both read the same file in turn,
so that their ratio is of the same moment. Also the 95th percentile of the pages of the difference, by filter.
"""

from __future__ import annotations

import argparse
import html
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from time import monotonic
from typing import Any

from bench.change_sets import build_database
from bench.engine.__main__ import benchmark_server
from bench.engine.databases import ROOT, build_environment

_PAGES = 20
_FILTERS = {
    "all": "", "new": "kind=new", "changed": "kind=changed", "conflicts": "kind=conflicts",
    "column": "column=title", "text": "q=zzzz", "card id": "q=synthetic-09",
}  # fmt: skip


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.upload", description=__doc__)
    parser.add_argument("--cards", type=int, default=1_000_000, help="Cards in the table.")
    parser.add_argument("--rows", type=int, default=100_000, help="Rows of the pack.")
    parser.add_argument("--rounds", type=int, default=3)
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
        _report(_measure_in_subprocess(target, options.rows, options.rounds))


def _measure_in_subprocess(url: str, rows: int, rounds: int) -> dict[str, Any]:
    result = subprocess.run(
        [sys.executable, "-m", "bench.upload", "--on", json.dumps({"rows": rows, "rounds": rounds})],
        env=build_environment(url),
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    measured: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return measured


def _report(measured: dict[str, Any]) -> None:
    for name in ("json", "csv"):
        stage, preview, first = (measured[name][key] for key in ("stage", "preview", "first"))
        print(f"{name}: staged in {stage:.2f} s; load_pack's preview {preview:.2f} s: {stage / preview:.2f}")
        print(f"    the first page {first:.2f} s after the upload's end")
    for name, milliseconds in measured["pages"].items():
        print(f"{name}: {milliseconds:.0f} ms, the 95th percentile of its pages")


def _measure(rows: int, rounds: int) -> dict[str, Any]:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kyndo.settings")
    import django

    django.setup()
    from django.conf import settings

    settings.ALLOWED_HOSTS = ["testserver"]
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
    with tempfile.TemporaryDirectory() as folder:
        settings.UPLOAD_ROOT = folder
        files = _write_files(Path(folder), rows)
        measured: dict[str, Any] = {name: _measure_file(path, rounds) for name, path in files.items()}
        measured["pages"] = _measure_pages()
    return measured


def _write_files(folder: Path, rows: int) -> dict[str, Path]:
    """Write the pack in two formats: of 10 rows 2 are new, 5 are changed, and 3 are as stored."""
    import csv

    from cards.models import Card

    stored = Card.objects.order_by("pk").values("card_id", "title", "pack_id", "rarity", "tags")[:rows]
    paths = {name: folder / f"pack.{name}" for name in ("json", "csv")}
    pack = []
    for number, row in enumerate(stored):
        if number % 10 < 2:
            row["card_id"] += "-new"
        elif number % 10 < 7:
            row["title"] += " changed"
        pack.append(row)
    paths["json"].write_text(json.dumps(pack))
    with paths["csv"].open("w", newline="") as file:
        writer = csv.DictWriter(file, list(pack[0]))
        writer.writeheader()
        writer.writerows({**row, "tags": json.dumps(row["tags"])} for row in pack)
    return paths


def _measure_file(path: Path, rounds: int) -> dict[str, float]:
    from cards.models import Card
    from ops.models import Upload
    from ops.uploads.files import store_file
    from ops.uploads.staging import stage_head, stage_upload

    times = []
    for _ in range(rounds):
        stored = store_file(path.name, [path.read_bytes()])
        upload = Upload.objects.create(
            model=Card._meta.label_lower, name=path.name, path=str(stored), bytes=1, performed_by="benchmark"
        )
        first = _time(partial(stage_head, upload)) + _time(partial(_open_page, upload.pk, ""))
        stage = _time(partial(stage_upload, upload, int))
        upload.refresh_from_db()
        if upload.state != "staged":
            raise RuntimeError(upload.error)
        times.append({"stage": stage, "first": first, "preview": _time(lambda: _preview(path))})
    return {name: median(each[name] for each in times) for name in times[0]}


def _preview(path: Path) -> None:
    from cards.packs.catalogue import card_schema
    from cards.packs.illustrations import Illustrations
    from cards.packs.loading import stage_rows
    from cards.packs.source import open_source
    from ops import bulk_load

    schema = card_schema(Illustrations(path.parent / "none"))
    with open_source(path, schema.list_keys) as source, stage_rows(source, schema, str) as upsert:
        bulk_load.preview(upsert)


def _measure_pages() -> dict[str, float]:
    """Return the 95th percentile of the milliseconds of pages, by filter."""
    from ops.models import Upload

    number = Upload.objects.latest("pk").pk
    measured = {}
    for name, query in _FILTERS.items():
        times, url = [], f"?{query}"
        while url and len(times) < _PAGES:
            started_at = monotonic()
            response = _open_page(number, url)
            times.append(1000 * (monotonic() - started_at))
            link = re.search(r'href="([^"]*)" rel="next"', response.content.decode())
            url = html.unescape(link[1]) if link else ""
        measured[name] = quantiles(times, n=20)[-1] if len(times) > 1 else times[0]
    return measured


def _open_page(number: int, query: str) -> Any:
    from django.contrib.auth import get_user_model
    from django.test import Client

    if not hasattr(_open_page, "client"):
        users = get_user_model()._default_manager
        user = users.filter(username="benchmark").first() or users.create_superuser("benchmark")  # type: ignore[attr-defined]
        client = Client()
        client.force_login(user)
        _open_page.client = client  # type: ignore[attr-defined]
    response = _open_page.client.get(f"/admin/cards/card/upload/{number}/{query}", secure=True)  # type: ignore[attr-defined]
    if response.status_code != 200:
        raise RuntimeError(f"{response.status_code}: {query}")
    return response


def _time(work: Callable[[], Any]) -> float:
    started_at = monotonic()
    work()
    return monotonic() - started_at


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
