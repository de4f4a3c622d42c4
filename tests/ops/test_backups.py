"""Backups: complete or not there, of one snapshot, and every damaged file refused with its reason."""

import json
import os
import shlex
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from kyndo.localservices.binaries import find_postgres_bin
from ops.backups import client_tools, manifest, versions
from ops.backups.client_tools import ClientTools
from ops.backups.dump import _lock_partial_file, create_backup
from ops.backups.errors import ClientToolNotFound, CorruptBackup, InvalidBackupFile, MaintenanceFailed
from ops.backups.load import restore_into, verify_backup
from ops.backups.scratch import temporary_database, truncate_database_name
from ops.backups.server import Server
from ops.models import Backup
from ops.report.run import format_details
from ops.runs import backup_policy
from ops.runs.backup_policy import BackupRequired
from tests.debian import BIN_DIR as DEBIAN
from tests.debian import require_debian_postgres
from tests.ops.running import create_run, create_things, execute_sql, make_operation, player
from tests.processes import limited_file_size
from tests.trials.models import Thing


def run_command(*arguments: object) -> str:
    out = StringIO()
    call_command(*map(str, arguments), stdout=out)
    return out.getvalue()


@contextmanager
def concurrent_writer() -> Iterator[None]:
    """Add rows all the time, on another connection."""
    stop = Event()
    with player() as other:
        other.autocommit = True

        def write() -> None:
            while not stop.is_set():
                other.execute("INSERT INTO trials_thing (name, score, updated_at) VALUES ('new', 0, now())")

        thread = Thread(target=write)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_a_backup_of_one_snapshot_is_verified_while_others_write(tmp_path: Path) -> None:
    create_things(3)
    with concurrent_writer():
        document = json.loads(run_command("backup_db", tmp_path / "a.dump", "--verify", "--json"))
    saved = Backup.objects.get()
    assert saved.counts["public.trials_thing"] >= 3
    assert saved.verified_at is not None
    assert json.loads((tmp_path / "a.dump.json").read_text()) == manifest.to_dict(saved)
    assert document == {"event": "backup", **manifest.to_dict(saved)}
    assert manifest.verify_file(tmp_path / "a.dump").sha256 == saved.sha256
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.dump", "a.dump.json"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    prefix = f"{truncate_database_name(Server.default().database)}_verify_"
    assert execute_sql("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", prefix) == []


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_plain_sql_is_restored_by_psql_over_existing_tables(tmp_path: Path) -> None:
    create_things(3)
    plain, zipped = create_backup(tmp_path / "a.sql"), create_backup(tmp_path / "a.sql.gz")
    server = Server.default()
    tools = client_tools.choose_client_tools(versions.parse_major_version(plain.server_version))
    with temporary_database(server, "verify") as database:
        restore_into(database, zipped, server)
        command = [tools.folder / "psql", "-q", "-v", "ON_ERROR_STOP=1", "--single-transaction"]
        with server.connect(database) as connection:
            connection.execute("DELETE FROM trials_thing")
        with plain.file.open() as file:  # as the guide has it: psql "$DATABASE_URL" < a.sql
            done = subprocess.run(
                command,
                stdin=file,
                env=server.libpq_environment(database),
                capture_output=True,
                text=True,
                check=False,
            )
        assert (done.returncode, done.stderr) == (0, "")
        with server.connect(database) as connection:
            assert connection.execute("SELECT count(*) FROM trials_thing").fetchone() == (3,)


@pytest.mark.django_db(transaction=True)
def test_a_backup_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / ".orphan.dump.partial").touch()  # of a killed backup
    failure = pytest.raises(MaintenanceFailed, match=r"/a\.dump was not made: pg_dump failed")
    with limited_file_size(4096), failure:
        create_backup(tmp_path / "a.dump")
    assert list(tmp_path.iterdir()) == []
    assert not Backup.objects.exists()


def test_a_file_renamed_before_it_was_locked_is_not_overwritten(tmp_path: Path) -> None:
    partial = tmp_path / ".a.dump.partial"
    partial.touch()
    with partial.open("r+b") as file:
        partial.rename(tmp_path / "a.dump")
        with pytest.raises(InvalidBackupFile, match="has just been written"):
            _lock_partial_file(file, partial)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.txt", "it must end in .dump, .sql or .sql.gz"),
        ("there.dump", "there.dump exists, and a backup is never overwritten: name another"),
        ("no/a.dump", "There is no folder"),
        ("there.dump/a.dump", "There is no folder"),
    ],
)
def test_an_invalid_name_is_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "there.dump").touch()
    with pytest.raises(CommandError, match=message) as caught:
        run_command("backup_db", tmp_path / name)
    assert caught.value.returncode == 2


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with a manifest; only pg_restore finds that it is not a dump."""
    path = tmp_path / "a.dump"
    path.write_text("no dump at all")
    backup = Backup(
        path=str(path),
        database="x",
        size=path.stat().st_size,
        sha256=manifest.compute_sha256(path),
        started_at=timezone.now(),
        duration=timedelta(seconds=1),
        server_version="15.1",
        program_version="15.1",
        counts={},
    )
    manifest.write_manifest(backup)
    return path


def test_a_file_that_matches_its_manifest_is_accepted(file: Path) -> None:
    assert manifest.verify_file(file).size == 14


def changed_backup(file: Path, **fields: Any) -> Backup:
    backup = manifest.read_manifest(file)
    for name, value in fields.items():
        setattr(backup, name, value)
    return backup


def _replace_by_link(file: Path) -> None:
    file.rename(file.with_name("real.dump"))
    file.symlink_to(file.with_name("real.dump"))


def _replace_by_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (Path.unlink, "There is no file .*a.dump. To list the backups: manage.py backups"),
        (lambda file: os.truncate(file, 10), "is truncated: 10 bytes, and its manifest says 14"),
        (
            lambda file: file.write_text("no dump at all, nor later"),
            "has changed since the backup: 25 bytes, and its manifest says 14. Use another backup. To list",
        ),
        (
            lambda file: file.write_text("no dump at ALL"),
            "is damaged: its SHA-256 is not the one in its manifest",
        ),
        (lambda file: manifest.manifest_path(file).unlink(), "there is no a.dump.json beside it"),
        (
            lambda file: manifest.manifest_path(file).write_text("{"),
            "a.dump.json is not the manifest of a backup",
        ),
        (
            lambda file: manifest.manifest_path(file).write_text("[]"),
            "a.dump.json is not the manifest of a backup",
        ),
        (
            lambda file: manifest.manifest_path(file).write_bytes(b"\xff"),
            "a.dump.json is not the manifest of a backup",
        ),
        (
            lambda file: manifest.write_manifest(changed_backup(file, server_version="eighteen")),
            "is not the manifest of a backup: ValueError: 'eighteen' is not a version",
        ),
        (_replace_by_link, "is a link to .*real.dump: name the file itself"),
        (_replace_by_folder, "is a folder"),
    ],
)
def test_a_damaged_file_is_refused_with_its_reason(file: Path, damage, message: str) -> None:
    damage(file)
    with pytest.raises((InvalidBackupFile, CorruptBackup), match=message):
        manifest.verify_file(file)


def test_an_unreadable_file_is_refused_with_its_reason(file: Path) -> None:
    file.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(InvalidBackupFile, match=r"cannot be read: Permission denied\."):
            manifest.verify_file(file)
    finally:
        os.seteuid(user)


@pytest.mark.django_db(transaction=True)
def test_pg_restore_reports_a_file_that_is_not_a_dump(file: Path) -> None:
    server = Server.default()
    with pytest.raises(MaintenanceFailed, match="does not appear to be a valid archive"):
        verify_backup(manifest.verify_file(file), server)
    assert json.loads(manifest.manifest_path(file).read_text())["verified_at"] is None


def fake_client_tools(folder: Path, version: str, command: str = "exit 1") -> str:
    """Write scripts that print this version, and return their folder."""
    folder.mkdir()
    for name in ("pg_dump", "pg_restore", "psql"):
        script = folder / name
        print_version = f"[ $1 = --version ] && echo '{name} (PostgreSQL) {version}' && exit"
        script.write_text(f"#!/bin/sh\n{print_version}\n{command}\n")
        script.chmod(0o755)
    return str(folder)


@pytest.mark.parametrize(
    ("major", "version"),
    [
        (15, "15.20 (Debian 15.20-0+deb12u1)"),
        (16, "18.6"),
        (18, "18.6"),  # the newest of its major version
        (19, "19rc1"),
        (20, "22.1"),  # released, where the server's own version is not there
        (23, "23devel"),
    ],
)
def test_the_client_tools_nearest_to_the_server_are_chosen(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch, major: int, version: str
) -> None:
    installed = [
        "19beta3",
        "15.20 (Debian 15.20-0+deb12u1)",
        "18.4",
        "18.6",
        "19rc1",
        "21beta2",
        "22.1",
        "23devel",
    ]
    folders = [fake_client_tools(tmp_path / str(number), text) for number, text in enumerate(installed)]
    monkeypatch.setattr(client_tools, "_BIN_DIRECTORY_GLOBS", (str(tmp_path / "[0-6]"),))
    monkeypatch.setenv("PATH", folders[7])
    settings.PG_BIN = []
    assert client_tools.choose_client_tools(major).version == version.split()[0]


def test_an_unreadable_folder_of_the_path_is_skipped(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_tools, "_BIN_DIRECTORY_GLOBS", ())
    (closed := tmp_path / "closed").mkdir(mode=0)  # to root it is open, but no name is that long
    unreadable = [str(closed), str(tmp_path / ("long" * 100))]
    monkeypatch.setenv("PATH", os.pathsep.join([*unreadable, fake_client_tools(tmp_path / "found", "18.6")]))
    settings.PG_BIN = []
    assert client_tools.choose_client_tools(18).version == "18.6"


def test_client_tools_in_pg_bin_are_preferred_if_they_are_new_enough(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_tools, "_BIN_DIRECTORY_GLOBS", (str(tmp_path / "found"),))
    monkeypatch.setenv("PATH", "")
    fake_client_tools(tmp_path / "found", "18.6")
    settings.PG_BIN = [
        fake_client_tools(tmp_path / "named", "18.4"),
        fake_client_tools(tmp_path / "old", "15.2"),
    ]
    assert [client_tools.choose_client_tools(major).version for major in (16, 18)] == ["18.4", "18.4"]
    with pytest.raises(
        ClientToolNotFound, match=r"(?s)found: 15\.2 in .*, 18\.4 in .*, 18\.6 in .*postgresql-client-20"
    ):
        client_tools.choose_client_tools(20)


def test_client_tools_without_tls_are_skipped_if_the_server_uses_it(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_debian_postgres()
    wheel = find_postgres_bin(16) / "pg_dump"
    settings.PG_BIN = [fake_client_tools(tmp_path / "wheel", "15.99", f'exec {shlex.quote(str(wheel))} "$@"')]
    monkeypatch.setattr(client_tools, "_BIN_DIRECTORY_GLOBS", (str(DEBIAN),))
    monkeypatch.setenv("PATH", "")
    params = {"host": "db", "port": "1,2", "password": "hidden"}
    tls, plain = Server({**params, "sslmode": "verify-full"}), Server(params)
    assert client_tools.choose_client_tools(15, tls).folder == DEBIAN
    assert client_tools.choose_client_tools(15, plain).version == "15.99"
    assert client_tools.choose_client_tools(15, plain, encrypted=True).folder == DEBIAN
    monkeypatch.setattr(client_tools, "_BIN_DIRECTORY_GLOBS", ())
    # If no tool supports TLS, connect without it.
    assert client_tools.choose_client_tools(15, plain, encrypted=True).version == "15.99"
    with pytest.raises(
        ClientToolNotFound, match=r'15\.99 in .*: pg_dump: error: sslmode value "verify-full" invalid'
    ):
        client_tools.choose_client_tools(15, tls)


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("suffix", [".dump", ".sql.gz"])
def test_client_tools_newer_than_the_server_work(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    settings.PG_BIN = [str(find_postgres_bin(18))]
    monkeypatch.setattr(client_tools, "_BIN_DIRECTORY_GLOBS", ())
    monkeypatch.setenv("PATH", "")
    backup = create_backup(tmp_path / f"a{suffix}")
    assert versions.parse_major_version(backup.program_version) == 18
    verify_backup(backup, Server.default())
    assert backup.verified_at


@pytest.mark.django_db(transaction=True)
def test_client_tools_of_a_beta_are_not_preferred(tmp_path: Path, settings: Any) -> None:
    settings.PG_BIN = [fake_client_tools(tmp_path / "beta", "19beta1"), *settings.PG_BIN]
    backup = create_backup(tmp_path / "a.dump")
    assert backup.program_version != "19beta1"
    document = json.loads(manifest.manifest_path(backup.file).read_text())
    document["server_version"] = "0rc1 (Debian)"
    manifest.manifest_path(backup.file).write_text(json.dumps(document))
    assert manifest.verify_file(backup.file).server_version == "0rc1 (Debian)"
    verify_backup(manifest.verify_file(backup.file), Server.default())


def test_the_password_is_in_no_argument_and_no_message(tmp_path: Path) -> None:
    script = tmp_path / "pg_dump"
    script.write_text('#!/bin/sh\necho "$# $*: $PGPASSWORD at $PGHOST $PGDATABASE" >&2; exit 1')
    script.chmod(0o755)
    server = Server({"host": "db", "password": "hidden", "sslmode": "require", "cursor_factory": object})
    with (
        pytest.raises(MaintenanceFailed) as caught,
        ClientTools(tmp_path, "18").run_tool("pg_dump", "--one", server=server, database="cards"),
    ):
        pass
    assert str(caught.value) == "pg_dump failed (exit 1):\n2 --no-password --one: *** at db cards"


@pytest.mark.django_db(transaction=True)
def test_the_newest_backup_is_listed_first_and_missing_files_are_marked(
    tmp_path: Path, settings, file: Path
) -> None:
    settings.BACKUP_DIR = str(tmp_path)
    assert run_command("backups").splitlines()[1].startswith(f"{file} ")
    backup = manifest.read_manifest(file)
    backup.path, backup.started_at = "/elsewhere/b.sql", backup.started_at + timedelta(hours=1)
    backup.save()
    lines = run_command("backups").splitlines()
    assert [line.split("  ")[0] for line in lines[1:]] == ["/elsewhere/b.sql (not here)", str(file)]


@pytest.mark.django_db(transaction=True)
def test_a_run_can_require_a_recent_backup_and_shows_an_override(settings, file: Path) -> None:
    settings.OPS_BACKUP_MAX_AGE = timedelta(hours=24)
    operation = make_operation(Thing.objects.filter(note=None), {"note": "x"})
    with pytest.raises(BackupRequired, match=r"but there is none\. Make one: manage.py backup_db --verify"):
        create_run(operation)
    backup = manifest.read_manifest(file)
    backup.verified_at = backup.started_at = timezone.now()
    backup.save()
    with pytest.raises(BackupRequired, match="but there is none"):  # that is the backup of another database
        create_run(operation)
    backup.database, backup.started_at = Server.default().database, timezone.now() - timedelta(hours=30)
    backup.save()
    with pytest.raises(BackupRequired, match=r"not older than 24 h is required.* the newest is 30 h old"):
        create_run(operation)
    overridden = create_run(operation, without_backup=True)
    assert overridden.without_backup
    assert "  backup    not required (--no-backup)" in format_details(overridden)
    overridden.claims.all().delete()
    backup.started_at = timezone.now()
    backup.save()
    assert not create_run(operation, without_backup=True).without_backup
    assert backup_policy.find_newest_verified_backup() == backup
