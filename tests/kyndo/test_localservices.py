"""The local servers: start, kill, restart. Each test has its own servers."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from kyndo.localservices import data_dir
from kyndo.localservices.errors import LocalServiceError
from kyndo.localservices.postgres import LocalPostgres
from kyndo.localservices.server import LocalServer
from kyndo.localservices.valkey import LocalValkey
from tests.kyndo.conftest import CopyPostgres, are_gone

Make = Callable[[Path], LocalServer]
MAKERS: list[Make] = [lambda root: LocalPostgres(root, durable=False), LocalValkey]
both = pytest.mark.parametrize("make", MAKERS, ids=["postgres", "valkey"])


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """Return a folder for servers, which are removed after the test."""
    yield tmp_path
    for home in list(tmp_path.rglob("state.json")):
        for make in MAKERS:
            server = make(home.parent.parent)
            if server.root_dir == home.parent:
                server.remove()


@pytest.fixture
def existing_root(root: Path, copy_postgres: CopyPostgres, request: pytest.FixtureRequest) -> Path:
    """Return a folder with the data of a stopped PostgreSQL, to save initdb."""
    if "valkey" not in request.node.name:
        copy_postgres(root)
    return root


@pytest.fixture(scope="module", params=MAKERS, ids=["postgres", "valkey"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """Return a running server, for tests that do not change it."""
    root = tmp_path_factory.mktemp("running")
    request.getfixturevalue("copy_postgres")(root)
    server = request.param(root)
    server.start()
    yield server
    server.remove()


def test_a_second_start_finds_the_first_one_running(server: LocalServer) -> None:
    main = server.main_process()
    second = type(server)(server.root_dir.parent)
    assert not second.start()
    assert second.main_process() == main
    assert second.url == server.url


@both
def test_stop_leaves_no_process_and_may_be_repeated(existing_root: Path, make: Make) -> None:
    server = make(existing_root)
    assert server.start()
    assert server.stop()
    assert not server.processes()
    assert not server.is_running()
    assert not server.stop()


def test_stopping_what_never_started_makes_no_folder(root: Path) -> None:
    assert not LocalValkey(root / "var").stop()
    assert not (root / "var").exists()


def test_committed_rows_survive_a_kill_of_every_process(existing_root: Path) -> None:
    server = LocalPostgres(existing_root)
    server.start()
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE t AS SELECT 7 AS n")
    server.kill()
    assert not server.is_running()
    server.start()
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT n FROM t").fetchone() == (7,)


def test_postgres_starts_again_after_only_its_main_process_was_killed(existing_root: Path) -> None:
    server = LocalPostgres(existing_root, durable=False)
    server.start()
    main = server.main_process()
    assert main
    main.kill()
    assert server.start()
    assert server.is_running()


def test_jobs_that_valkey_acknowledged_survive_a_restart(root: Path) -> None:
    server = LocalValkey(root)
    server.start()
    with redis.Redis.from_url(server.url) as client:
        client.set("job", "1")
    server.stop()
    server.start()
    with redis.Redis.from_url(server.url) as client:
        assert client.get("job") == b"1"


def test_a_pid_file_that_names_a_stranger_does_not_stop_the_start(existing_root: Path) -> None:
    server = LocalPostgres(existing_root, durable=False)
    server.start()
    server.kill()
    pid_file = server.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    with _stranger(server) as stranger:
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        assert server.start()
        assert stranger.poll() is None


def _stranger(server: LocalServer) -> "subprocess.Popen[bytes]":
    """Start an unrelated process of the same user."""
    return subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, **server.account.popen_kwargs)


def test_a_folder_half_made_by_a_killed_initdb_is_made_again(root: Path) -> None:
    server = LocalPostgres(root, durable=False)
    half = server.base_dir / "data.new"
    half.mkdir()
    (half / "base").mkdir()
    (server.base_dir / "password").write_text("left behind")
    assert server.start()
    assert not half.exists()
    assert not (server.base_dir / "password").exists()


@both
def test_a_taken_port_is_replaced_by_a_free_one(existing_root: Path, make: Make) -> None:
    server, other = make(existing_root), LocalValkey(existing_root / "other")
    other.start()
    server.start()
    server.stop()
    state = json.loads(server.state_file.read_text())
    taken = json.loads(other.state_file.read_text())["port"]
    server.state_file.write_text(json.dumps({**state, "port": taken}))
    server.start()
    assert server.is_running()
    assert other.is_running()


@both
def test_the_port_stays_the_same_over_a_restart(existing_root: Path, make: Make) -> None:
    server = make(existing_root)
    server.start()
    url = server.url
    server.stop()
    server.start()
    assert server.url == url


START = """
import sys, pathlib
from kyndo.localservices.postgres import LocalPostgres
print(LocalPostgres(pathlib.Path(sys.argv[1]), durable=False).start())
"""


def test_of_several_starts_at_once_one_starts_it(root: Path) -> None:
    command = [sys.executable, "-c", START, root]
    starts = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    output = sorted(start.communicate()[0].strip() for start in starts)
    assert output == ["False", "False", "True"]


def test_a_start_waits_for_the_initdb_that_a_killed_start_left_behind(root: Path) -> None:
    server = LocalPostgres(root, durable=False)
    start = subprocess.Popen([sys.executable, "-c", START, root])
    initdb = _child_named(start, "initdb")
    initdb.suspend()
    start.kill()
    start.wait()
    with (server.root_dir / "lock").open() as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    initdb.resume()
    server.start()
    assert server.is_running()


def _child_named(parent: "subprocess.Popen[bytes]", name: str) -> psutil.Process:
    while parent.poll() is None:
        for child in psutil.Process(parent.pid).children():
            with suppress(psutil.NoSuchProcess):  # it has just ended
                if child.name() == name:
                    return child
    pytest.fail(f"no {name} was seen")


@pytest.mark.parametrize("name", ["ñandú 'quoted' & $HOME `x` \"y\"", "/".join(["long" * 10] * 8)])
def test_any_path_is_usable(root: Path, name: str) -> None:
    for make in MAKERS:
        server = make(root / name)
        server.start()
        assert server.is_running()


def test_the_password_is_in_no_process_list_and_in_no_file_of_others(server: LocalServer) -> None:
    password = json.loads(server.state_file.read_text())["password"]
    shown = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    assert not [line for line in shown if password in line]
    assert server.state_file.stat().st_mode & 0o777 == 0o600
    assert server.data.stat().st_mode & 0o077 == 0


def test_without_the_password_nobody_enters(server: LocalServer) -> None:
    state = json.loads(server.state_file.read_text())
    bad = server.url.replace(state["password"], "guess")
    with pytest.raises((psycopg.OperationalError, redis.AuthenticationError)):
        psycopg.connect(bad) if bad.startswith("postgres") else redis.Redis.from_url(bad).ping()


def test_no_server_runs_as_root(server: LocalServer) -> None:
    users = set()
    for process in server.processes():
        with suppress(psutil.NoSuchProcess):  # the autovacuum worker may end at any moment
            users.add(process.uids().real)
    assert users
    assert 0 not in users


@pytest.mark.parametrize("server", MAKERS[:1], ids=["postgres"], indirect=True)
def test_only_this_machine_can_reach_it(server: LocalServer) -> None:
    with psycopg.connect(server.url) as connection:
        output = connection.execute(
            "SELECT name, setting FROM pg_settings"
            " WHERE name IN ('listen_addresses', 'unix_socket_directories', 'password_encryption')"
        ).fetchall()
    assert dict(output) == {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "password_encryption": "scram-sha-256",
    }


def test_durability_is_only_given_up_when_asked(existing_root: Path) -> None:
    server = LocalPostgres(existing_root, settings={"wal_level": "logical"})
    server.start()
    with psycopg.connect(server.url) as connection:
        names = ("fsync", "synchronous_commit", "full_page_writes", "wal_level")
        output = [connection.execute("SELECT current_setting(%s)", [name]).fetchone() for name in names]
    assert output == [("on",), ("on",), ("on",), ("logical",)]


def test_a_server_that_cannot_start_says_what_its_log_says(existing_root: Path) -> None:
    server = LocalPostgres(existing_root, durable=False, settings={"shared_buffers": "much"})
    with pytest.raises(LocalServiceError, match='invalid value for parameter "shared_buffers": "much"'):
        server.start()
    assert not server.processes()


def test_a_fallback_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.symlink_to(tmp_path)
    with pytest.raises(LocalServiceError, match="another user"):
        data_dir.ensure_owned_dir(trap)
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    with pytest.raises(LocalServiceError, match="others may write"):
        data_dir.ensure_owned_dir(open_to_all)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another user to be: pytest -m root")
def test_a_root_that_its_user_cannot_reach_is_replaced_by_a_fallback(
    root: Path, copy_postgres: CopyPostgres
) -> None:
    closed = root / "closed"
    closed.mkdir(mode=0o700)
    copy_postgres(closed)
    server = LocalPostgres(closed, durable=False)
    server.start()
    assert server.base_dir == data_dir.get_fallback_dir(server.root_dir)
    assert server.is_running()
    server.remove()
    assert not data_dir.get_fallback_dir(server.root_dir).exists()


@both
def test_a_server_of_the_same_path_in_another_root_is_left_alone(root: Path, make: Make) -> None:
    """In another root the same path has other files: the test moves the files away while the server runs."""
    theirs, ours = make(root / "checkout"), make(root / "checkout")
    theirs.start()
    others = theirs.processes()
    away = {
        path: root / f"{path.name} away"
        for path in (theirs.root_dir, data_dir.get_fallback_dir(theirs.root_dir))
    }
    move(away)
    assert not ours.is_running()
    assert not ours.stop()
    assert ours.start()
    assert not {process.pid for process in others} & {process.pid for process in ours.processes()}
    ours.remove()
    assert all(process.is_running() for process in others)
    move({there: here for here, there in away.items()})
    assert theirs.is_running()
    theirs.remove()
    assert are_gone(others)


def move(paths: Mapping[Path, Path]) -> None:
    for path, target in paths.items():
        if path.exists():
            path.rename(target)


def test_a_stop_ends_open_transactions(existing_root: Path) -> None:
    server = LocalPostgres(existing_root, durable=False)
    server.start()
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE t ()")
        assert server.stop()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_a_hung_up_terminal_does_not_end_the_servers(existing_root: Path) -> None:
    start = subprocess.Popen([sys.executable, "-c", START, existing_root], start_new_session=True)
    start.wait()
    with pytest.raises(ProcessLookupError):
        os.killpg(start.pid, signal.SIGHUP)  # nothing of the starter's group is left
    assert LocalPostgres(existing_root).is_running()
