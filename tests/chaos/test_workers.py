"""Workers killed, Valkey emptied and restarted, PostgreSQL stopped, at random, under one long run."""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from kyndo.localservices.postgres import LocalPostgres
from kyndo.localservices.valkey import LocalValkey
from tests.chaos.conftest import Dose
from tests.chaos.crew import Crew, People
from tests.chaos.trial import Trial

MOVING = ("queued", "running")


class Servers:
    def __init__(self, folder: Path, version: int) -> None:
        self.postgres = LocalPostgres(folder, version, durable=True)  # an acknowledged COMMIT stays
        self.postgres.stop_signal = signal.SIGQUIT  # an immediate stop
        self.valkey = LocalValkey(folder)
        self.postgres.start()
        self.valkey.start()

    def empty_valkey(self) -> str:
        with redis.Redis.from_url(self.valkey.url) as client:
            client.flushall()
        return "FLUSHALL"

    def restart_valkey(self) -> str:
        self.valkey.stop()
        time.sleep(random.uniform(0, 1))
        self.valkey.start()
        return "restart of Valkey"

    def restart_postgres(self) -> str:
        self.postgres.stop()
        time.sleep(random.uniform(0, 1))
        self.postgres.start()
        return "immediate stop of PostgreSQL"


@pytest.fixture
def servers(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Servers]:
    servers = Servers(tmp_path, request.config.getoption("--pg"))
    yield servers
    servers.postgres.remove()
    servers.valkey.remove()


@pytest.fixture
def crew(servers: Servers, tmp_path: Path, dose: Dose) -> Iterator[Crew]:
    env = {"DATABASE_URL": servers.postgres.url, "REDIS_URL": servers.valkey.url}
    haste = {} if dose.is_large else {"RUN_BEAT": "1", "RUN_SLICE": "2"}
    crew = Crew(2, {**env, **haste}, tmp_path / "workers.log")
    yield crew
    crew.send_home()


def attacks(count: int, crew: Crew, servers: Servers) -> list[Callable[[], str]]:
    """Each kind once, and more of them by lot, in a random order."""
    kinds: list[Callable[[], str]] = [
        lambda: crew.kill(parent=True, horse=False),
        lambda: crew.kill(parent=False, horse=True),
        lambda: crew.kill(parent=True, horse=True),
        crew.tell_to_stop,
        servers.empty_valkey,
        servers.restart_valkey,
        servers.restart_postgres,
    ]
    chosen = [*kinds, *random.choices(kinds, k=max(0, count - len(kinds)))]
    random.shuffle(chosen)
    return chosen


def test_a_run_of_the_workers_ends_exactly_by_itself_whoever_is_killed(
    servers: Servers, crew: Crew, dose: Dose
) -> None:
    trial = Trial(servers.postgres.url, servers.valkey.url)
    trial.manage("migrate")
    trial.prepare(dose.cards)
    trial.remember()
    words = ("backfill_rarity_v2", "--execute", "--workers", 2, "--lanes", 4, "--batch-size", 10)
    trial.manage(*words, "--max-rate", dose.cards // (8 * dose.attacks))
    run, done, longest = trial.newest(), Counter[str](), 0.0
    people = People(trial.url)
    with people.at_work():
        for attack in attacks(dose.attacks, crew, servers):
            while not (told := attack()):
                time.sleep(0.01)
            done[told] += 1
            longest = max(longest, time_until_it_moves(trial, run))
            assert trial.state(run) in MOVING, "the run ended before the last attack: give it more cards"
        trial.query("UPDATE ops_run SET max_rate = NULL, batch_size = NULL WHERE id = %s", run)
        while trial.state(run) in MOVING:
            time.sleep(0.1)
    print(f"{done.total()} attacks over {dose.cards:,} cards: {dict(done)}")
    print(f"{crew.started} workers started; it stood still for {longest:.1f} s at most")
    assert trial.state(run) == "succeeded"
    assert trial.assert_exact(run) == dose.cards
    assert people.titles.items() <= dict(trial.query("SELECT id, title FROM cards")).items()


def time_until_it_moves(trial: Trial, run: int) -> float:
    began, seen = time.monotonic(), trial.batches(run)
    while trial.batches(run) == seen and trial.state(run) in MOVING:
        time.sleep(0.02)
    return time.monotonic() - began
