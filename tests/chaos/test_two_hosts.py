"""Workers on two hosts, one of them cut off in the middle: network namespaces on one bridge."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from kyndo.localservices.postgres import LocalPostgres
from kyndo.localservices.state import ServerState
from kyndo.localservices.valkey import LocalValkey
from tests.chaos.conftest import Dose
from tests.chaos.crew import Crew, Players
from tests.chaos.trial import Trial, prepare

NETWORK = "10.213.77"
BRIDGE = f"{NETWORK}.1"
# Longer than the server waits for a silent transaction, and the client for a silent server.
CUT = 60


def ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True, capture_output=True, text=True)


class BridgePostgres(LocalPostgres):
    def __init__(self, root: Path) -> None:
        super().__init__(root, settings={"listen_addresses": f"127.0.0.1,{BRIDGE}"})

    def start(self) -> bool:
        started = super().start()
        with (self.data / "pg_hba.conf").open("a") as file:
            file.write(f"host all all {NETWORK}.0/24 scram-sha-256\n")
        with psycopg.connect(self.url) as connection:
            connection.execute("SELECT pg_reload_conf()")
        return started


class BridgeValkey(LocalValkey):
    def config(self, state: ServerState) -> str:
        return super().config(state).replace("bind 127.0.0.1", f"bind 127.0.0.1 {BRIDGE}")


@dataclass(frozen=True)
class Host:
    """A network namespace with a cable to the bridge, and a name of its own."""

    number: int

    @property
    def name(self) -> str:
        return f"kyndo-host-{self.number}"

    @property
    def cable(self) -> str:
        return f"kyndo-{self.number}"

    @property
    def address(self) -> str:
        return f"{NETWORK}.{10 + self.number}"

    @property
    def prefix(self) -> tuple[str, ...]:
        """The prefix of a command that runs on this host."""
        rename = ("sh", "-c", 'hostname "$0" && exec "$@"', self.name)
        return ("ip", "netns", "exec", self.name, "unshare", "--uts", *rename)

    def set_up(self) -> None:
        ip("netns", "add", self.name)
        ip("link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        ip("link", "set", self.cable, "master", "kyndo-bridge")
        self.plug_in()
        ip("-n", self.name, "address", "add", f"{self.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            ip("-n", self.name, "link", "set", device, "up")

    def plug_in(self) -> None:
        ip("link", "set", self.cable, "up")

    def cut_off(self) -> None:
        ip("link", "set", self.cable, "down")

    def take_down(self) -> None:
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)


@pytest.fixture
def hosts(dose: Dose) -> Iterator[list[Host]]:
    if not dose.is_large:
        pytest.skip("takes minutes: pytest --chaos tests/chaos/test_two_hosts.py")
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("makes network namespaces: run it as root, with ip (iproute2) installed")
    hosts = [Host(1), Host(2)]
    try:
        ip("link", "add", "kyndo-bridge", "type", "bridge")
        ip("address", "add", f"{BRIDGE}/24", "dev", "kyndo-bridge")
        ip("link", "set", "kyndo-bridge", "up")
        for host in hosts:
            host.set_up()
    except subprocess.CalledProcessError as exc:
        take_down(hosts)
        pytest.skip(f"network namespaces cannot be made here: {exc.stderr}")
    yield hosts
    take_down(hosts)


def take_down(hosts: list[Host]) -> None:
    for host in hosts:
        host.take_down()
    subprocess.run(["ip", "link", "del", "kyndo-bridge"], check=False, capture_output=True)


@pytest.fixture
def trial(hosts: list[Host], tmp_path: Path) -> Iterator[Trial]:
    postgres, valkey = BridgePostgres(tmp_path), BridgeValkey(tmp_path)
    postgres.start()
    valkey.start()
    yield Trial(postgres.url, valkey.url)
    postgres.remove()
    valkey.remove()


@pytest.fixture
def crews(hosts: list[Host], trial: Trial, tmp_path: Path) -> Iterator[list[Crew]]:
    trial.manage("migrate")
    env = {name: url.replace("127.0.0.1", BRIDGE) for name, url in trial.env.items()}
    crews = [Crew(1, env, tmp_path / f"{host.name}.log", host.prefix) for host in hosts]
    yield crews
    for crew in crews:
        crew.stop()


def seconds_until(condition: Callable[[], object]) -> float:
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < 300, "waited in vain"
        time.sleep(0.05)
    return time.monotonic() - started


def is_at_work(trial: Trial, host: Host) -> bool:
    """Whether the host has begun a batch within the last second."""
    in_batch = "application_name LIKE 'kyndo run %%' AND client_addr = %s::inet"
    is_recent = "xact_start > clock_timestamp() - interval '1 second'"
    return bool(trial.query(f"SELECT 1 FROM pg_stat_activity WHERE {in_batch} AND {is_recent}", host.address))


def hosts_at_work(trial: Trial, hosts: list[Host]) -> set[int]:
    """The numbers of the hosts that begin batches during the cut."""
    time.sleep(2)
    numbers: set[int] = set()
    ends = time.monotonic() + CUT
    while time.monotonic() < ends:
        numbers |= {host.number for host in hosts if is_at_work(trial, host)}
        time.sleep(0.05)
    return numbers


def test_a_host_that_is_cut_off_for_a_while_loses_no_row(
    hosts: list[Host], crews: list[Crew], trial: Trial, dose: Dose
) -> None:
    prepare(trial.manage, dose.cards)
    trial.remember()
    args = ("backfill_rarity_v2", "--execute", "--workers", 2, "--lanes", 4, "--batch-size", 10)
    trial.manage(*args, "--max-rate", 300)
    run, (first, second) = trial.newest(), hosts
    players = Players(trial.url)
    with players.at_work():
        both = seconds_until(lambda: is_at_work(trial, first) and is_at_work(trial, second))
        first.cut_off()
        batches = trial.batches(run)
        alone = seconds_until(lambda: trial.batches(run) > batches + 20 and is_at_work(trial, second))
        assert hosts_at_work(trial, hosts) == {second.number}
        done_alone = trial.batches(run) - batches
        first.plug_in()
        back = seconds_until(lambda: is_at_work(trial, first))
        trial.query("UPDATE ops_run SET max_rate = NULL, batch_size = NULL WHERE id = %s", run)
        seconds_until(lambda: trial.state(run) not in ("queued", "running"))
    print(f"both hosts at work after {both:.1f} s; 20 more batches {alone:.1f} s after the cut;")
    print(f"{done_alone} batches in the {CUT} s of the cut; the host at work again {back:.1f} s after it")
    assert trial.state(run) == "succeeded"
    assert trial.assert_exact(run) == dose.cards
    assert players.titles.items() <= dict(trial.query("SELECT id, title FROM cards")).items()
