"""A small run of the benchmark of dual writes: that it works and reports, not its results."""

import os
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from django.db import connection

from bench.dual_write import WORKS
from tests.conftest import ROOT
from tests.debian import require_debian_postgres


@pytest.mark.chaos
def test_the_benchmark_prints_the_ratios_of_every_statement(transactional_db: None) -> None:
    require_debian_postgres()  # pgbench
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    options = ["--cards", "200", "--copied", "50", "--rounds", "1", "--seconds", "1", "--server", url]
    command = [sys.executable, "-m", "bench.dual_write", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    table = [line.split("|")[1].strip() for line in done.stdout.splitlines() if line.startswith("|")]
    assert table[:2] == ["statement", "---"]
    assert table[2:-2] == list(WORKS)
    assert all(line.startswith("COPY of 50 rows with") for line in table[-2:])
