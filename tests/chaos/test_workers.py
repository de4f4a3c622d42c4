"""Workers killed, Valkey emptied and restarted, PostgreSQL stopped, at random, under runs."""

import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import pytest
import redis

from cards.models import Asset, Card
from cards.thumbnails.stale import stale_cards
from kyndo.localservices.postgres import LocalPostgres
from kyndo.localservices.valkey import LocalValkey
from tests.chaos.conftest import Dose
from tests.chaos.crew import Crew, Players
from tests.chaos.trial import Trial, prepare
from tests.conftest import ROOT, Manage

pytestmark = pytest.mark.long

MOVING = ("queued", "running")
IMAGES = ROOT / "cards" / "sample" / "images"


class Servers:
    def __init__(self, folder: Path, version: int) -> None:
        # A confirmed COMMIT survives, since the machine itself does not fail.
        durability = {"synchronous_commit": "on", "full_page_writes": "on"}
        self.postgres = LocalPostgres(folder, version, durable=False, settings=durability)
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
    env["MEDIA_ROOT"] = str(tmp_path / "media")
    short_intervals = {} if dose.is_large else {"RUN_BEAT": "1", "RUN_SLICE": "2"}
    crew = Crew(2, {**env, **short_intervals}, tmp_path / "workers.log")
    yield crew
    crew.stop()


def attacks(count: int, crew: Crew, servers: Servers) -> list[Callable[[], str]]:
    """Each kind once, and random ones besides, in a random order."""
    kinds: list[Callable[[], str]] = [
        lambda: crew.kill(parent=True, horse=False),
        lambda: crew.kill(parent=False, horse=True),
        lambda: crew.kill(parent=True, horse=True),
        crew.terminate,
        servers.empty_valkey,
        servers.restart_valkey,
        servers.restart_postgres,
    ]
    chosen = [*kinds, *random.choices(kinds, k=max(0, count - len(kinds)))]
    random.shuffle(chosen)
    return chosen


@pytest.fixture
def trial(manage: Manage, servers: Servers, crew: Crew, dose: Dose) -> Trial:
    """Common cards, some with an illustration that has no thumbnail yet."""
    prepare(manage, dose.cards)
    trial = Trial(servers.postgres.url, servers.valkey.url)
    trial.copy_of(manage.database_url, servers.postgres.bin_dir)
    shutil.copytree(IMAGES, Path(crew.env["MEDIA_ROOT"]) / "images")
    names = [f"images/{path.name}" for path in IMAGES.glob("*.webp")]
    trial.query(
        "UPDATE cards SET rarity = 'common', rarity_v2 = 'common',"
        " image = CASE id %% %s WHEN 0 THEN (%s::text[])[1 + id %% %s] ELSE '' END",
        *(dose.cards // dose.pictures, names, len(names)),
    )
    trial.remember()
    return trial


@dataclass
class Attacks:
    """Attack runs; count what was done, and measure for how many seconds a run stood still at most."""

    trial: Trial
    done: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0

    def attack_run(self, run: int, attacks: Sequence[Callable[[], str]]) -> None:
        """Attack as soon as the run has moved after the previous attack; stop when it has ended."""
        for attack in attacks:
            while self.trial.state(run) in MOVING and not (kind := attack()):
                time.sleep(0.05)
            if self.trial.state(run) not in MOVING:
                return
            self.done[kind] += 1
            self.longest = max(self.longest, self._seconds_until_next_batch(run))

    def _seconds_until_next_batch(self, run: int) -> float:
        started, batches = time.monotonic(), self.trial.batches(run)
        while self.trial.batches(run) == batches and self.trial.state(run) in MOVING:
            time.sleep(0.1)
        return time.monotonic() - started


def await_success(trial: Trial, run: int) -> None:
    trial.query("UPDATE ops_run SET max_rate = NULL, batch_size = NULL WHERE id = %s", run)
    while trial.state(run) in MOVING:
        time.sleep(0.1)
    assert trial.state(run) == "succeeded", trial.describe_end(run)


def test_a_promotion_and_its_thumbnails_are_exact_under_attack(
    trial: Trial, servers: Servers, crew: Crew, dose: Dose
) -> None:
    command = ("bulk_promote", "--from", "common", "--to", "rare", "--execute", "--workers", 2, "--lanes", 4)
    rate = dose.cards // (30 * dose.attacks)  # so low that it never ends before the last attack
    trial.manage(*command, "--batch-size", max(2, rate // 18), "--max-rate", rate)
    promotion, assault, players = trial.newest(), Attacks(trial), Players(trial.url)
    with players.at_work():
        assault.attack_run(promotion, attacks(dose.attacks, crew, servers))
        attacked = assault.done.total()
        assert attacked == dose.attacks, f"ended before the last attack: {trial.describe_end(promotion)}"
        await_success(trial, promotion)
        [(thumbnails,)] = trial.query("SELECT id FROM ops_run WHERE follows_id = %s", promotion)
        if dose.is_large:  # else the attacks would come too late
            trial.query("UPDATE ops_run SET max_rate = 40, batch_size = 2 WHERE id = %s", thumbnails)
        assault.attack_run(thumbnails, attacks(dose.attacks, crew, servers)[: dose.attacks // 4])
        await_success(trial, thumbnails)
    print(
        f"{attacked} attacks on a promotion of {dose.cards:,} cards, {assault.done.total() - attacked} on the"
    )
    print(f"thumbnails of {dose.pictures} of them: {dict(assault.done)}")
    print(f"{crew.started} workers started; a run stood still for {assault.longest:.1f} s at most")
    assert trial.assert_exact(promotion) == dose.cards
    assert_rendered(trial, thumbnails, dose.pictures, Path(crew.env["MEDIA_ROOT"]))
    assert players.titles.items() <= dict(trial.query("SELECT id, title FROM cards")).items()


def assert_rendered(trial: Trial, run: int, count: int, media: Path) -> None:
    """Assert that no thumbnail is stale, each was changed once, and every asset's file is complete."""
    with trial.as_default():
        assert not stale_cards("rarity").exists()
        assets = {asset.file_path: asset for asset in Asset.objects.all()}
        named = dict(Card.objects.exclude(image="").values_list("pk", "thumbnail"))
    entries = trial.query("SELECT object_id, changes FROM audit_logs WHERE run_id = %s", run)
    assert len(entries) == count
    assert {int(key): changes["thumbnail"]["new"] for key, changes in entries} == named
    assert set(named.values()) <= set(assets)
    for name, asset in assets.items():
        content = (media / name).read_bytes()
        assert (len(content), sha256(content).hexdigest()) == (asset.file_size, asset.checksum)
