"""A small run of the benchmark: that it works and reports, not its results."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
from django.db import connection

from bench.engine.report import render_markdown
from bench.engine.results import ResultStore
from tests.conftest import ROOT

_VARIANTS = ["limit", "reference", "django-save"]
_OPTIONS = shlex.split("--cards 500 --rounds 1 --sample 20 --idle 0.5 --players two --curve 50")


@pytest.fixture
def bench(transactional_db: None, tmp_path: Path) -> "subprocess.CompletedProcess[str]":
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    command = [
        sys.executable,
        "-m",
        "bench.engine",
        *_OPTIONS,
        "--variants",
        *_VARIANTS,
        "--server",
        url.geturl(),
        "--docs",
        str(tmp_path),
    ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.long
def test_the_chosen_variants_are_measured_and_all_results_reported(
    bench: "subprocess.CompletedProcess[str]", tmp_path: Path
) -> None:
    assert bench.returncode == 0, bench.stderr
    kept = json.loads((tmp_path / "benchmarks.json").read_text())
    (speeds,) = kept["speed"]["500"]["rounds"]
    assert {name: speed["rows"] for name, speed in speeds.items()} == dict.fromkeys(_VARIANTS, 500) | {
        "django-save": 20
    }
    assert set(kept["players"]["500"]["rounds"][0]) == {"idle", "two"}
    assert set(kept["curve"]["500"]["rounds"][0]) == {"limit", "50"}
    report = (tmp_path / "benchmarks.md").read_text()
    assert report == bench.stdout.removesuffix("\n")
    assert report.count("| 1.00 (1.00 to 1.00) |") == 1  # the limit, of itself
    for name in ("benchmarks-500.svg", "benchmarks-curve-500.svg"):
        assert f"]({name})" in report
        ElementTree.fromstring((tmp_path / name).read_text())


SPEED = {
    "rows": 100,
    "seconds": 1,
    "batch_median": 20,
    "batch_longest": 30,
    "wal_per_row": 1000,
    "memory": 1,
}


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (
            130,
            "1.30 (1.30 to 1.30) times as fast as one. They share the CPUs with PostgreSQL: one worker",
        ),
        (
            150,
            "1.50 (1.50 to 1.50) times as fast as one. They share the CPUs with PostgreSQL, and here",
        ),
    ],
)
def test_the_gain_of_a_second_worker_is_reported_with_its_limit(rate: int, text: str, tmp_path: Path) -> None:
    results = ResultStore(tmp_path / "benchmarks.json")
    speed = SPEED | {"busy": 0.7}
    results.save_rounds("speed", 500, [{"worker": speed, "workers": speed | {"rows": rate}}], "here")
    assert f"Two workers are {text}" in render_markdown(results)


def test_rounds_of_other_variants_may_be_added_to_saved_ones(tmp_path: Path) -> None:
    results = ResultStore(tmp_path / "benchmarks.json")
    results.save_rounds("speed", 500, [{"limit": SPEED, "adaptive": SPEED}] * 3, "here")
    results.save_rounds("speed", 500, [{"limit": SPEED | {"rows": 200}, "two": SPEED}], "here", beside=True)
    text = render_markdown(ResultStore(results.path))
    assert "\n1 to 4 rounds; here.\n" in text
    assert "two processes | 100 | 0.50 (0.50 to 0.50)" in text
