"""PostgreSQL killed during a run, and started again."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kyndo.localservices.postgres import LocalPostgres
from tests.chaos.conftest import Dose
from tests.chaos.trial import Trial, prepare
from tests.conftest import Manage

pytestmark = pytest.mark.long


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[LocalPostgres]:
    server = LocalPostgres(tmp_path, request.config.getoption("--pg"), durable=True)
    server.start()
    yield server
    server.remove()


def test_a_run_waits_for_a_killed_postgresql_and_ends_exactly_by_itself(
    manage: Manage, server: LocalPostgres, dose: Dose
) -> None:
    prepare(manage, dose.cards)
    trial = Trial(server.url)
    trial.copy_of(manage.database_url, server.bin_dir)
    trial.remember()
    process = trial.start("backfill_rarity_v2", "--execute", "--batch-size", 20)
    run = trial.await_new_run(0)
    restarts = 0
    while restarts < dose.restarts and trial.await_work(run, process):
        time.sleep(random.uniform(0, 0.2))
        server.kill()
        server.start()
        assert server.url == trial.url
        restarts += 1
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, out + err
    print(f"{restarts} restarts of PostgreSQL over {dose.cards:,} cards")
    assert restarts > 0
    assert trial.assert_exact(run) == dose.cards
