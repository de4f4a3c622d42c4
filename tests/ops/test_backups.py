"""Backups: whole or not at all, of one snapshot, and every damaged file refused in words."""

import json
import os
import resource
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
from tests.trials.models import Thing


def called(*words: object) -> str:
    out = StringIO()
    call_command(*map(str, words), stdout=out)
    return out.getvalue()


@contextmanager
def a_writer() -> Iterator[None]:
    """Somebody who adds rows all the time."""
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
def test_a_backup_is_of_one_snapshot_and_is_found_whole_while_others_write(tmp_path: Path) -> None:
    create_things(3)
    with a_writer():
        told = json.loads(called("backup_db", tmp_path / "a.dump", "--verify", "--json"))
    kept = Backup.objects.get()
    assert kept.counts["public.trials_thing"] >= 3
    assert kept.verified_at is not None
    assert json.loads((tmp_path / "a.dump.json").read_text()) == manifest.to_dict(kept)
    assert told == {"event": "backup", **manifest.to_dict(kept)}
    assert manifest.verify_file(tmp_path / "a.dump").sha256 == kept.sha256
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.dump", "a.dump.json"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    ours = f"{truncate_database_name(Server.default().database)}_verify_"
    assert execute_sql("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", ours) == []


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_plain_sql_is_restored_by_psql_over_what_is_there(tmp_path: Path) -> None:
    create_things(3)
    plain, zipped = create_backup(tmp_path / "a.sql"), create_backup(tmp_path / "a.sql.gz")
    server = Server.default()
    chosen = client_tools.choose_client_tools(versions.parse_major_version(plain.server_version))
    with temporary_database(server, "verify") as database:
        restore_into(database, zipped, server)
        command = [chosen.folder / "psql", "-q", "-v", "ON_ERROR_STOP=1", "--single-transaction"]
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
    (tmp_path / ".left.dump.partial").touch()  # a killed backup's
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(MaintenanceFailed, match=r"/a\.dump was not made: pg_dump failed"):
            create_backup(tmp_path / "a.dump")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
    assert not Backup.objects.exists()


def test_a_file_that_got_its_name_before_it_could_be_locked_is_not_written_over(tmp_path: Path) -> None:
    partial = tmp_path / ".a.dump.partial"
    partial.touch()
    with partial.open("r+b") as late:
        partial.rename(tmp_path / "a.dump")
        with pytest.raises(InvalidBackupFile, match="has just been written"):
            _lock_partial_file(late, partial)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.txt", "it must end in .dump, .sql or .sql.gz"),
        ("there.dump", "there.dump exists, and a backup is never overwritten: name another"),
        ("no/a.dump", "There is no folder"),
        ("there.dump/a.dump", "There is no folder"),
    ],
)
def test_a_name_that_cannot_be_is_refused(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "there.dump").touch()
    with pytest.raises(CommandError, match=words) as caught:
        called("backup_db", tmp_path / name)
    assert caught.value.returncode == 2


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with a record; not a dump, but nothing tells so before pg_restore does."""
    path = tmp_path / "a.dump"
    path.write_text("no dump at all")
    made = Backup(
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
    manifest.write_manifest(made)
    return path


def test_a_file_that_is_as_its_record_says_passes(file: Path) -> None:
    assert manifest.verify_file(file).size == 14


def changed(file: Path, **facts: Any) -> Backup:
    backup = manifest.read_manifest(file)
    for name, value in facts.items():
        setattr(backup, name, value)
    return backup


def _link(file: Path) -> None:
    file.rename(file.with_name("real.dump"))
    file.symlink_to(file.with_name("real.dump"))


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (Path.unlink, "There is no file .*a.dump. To see the backups: manage.py backups"),
        (lambda file: os.truncate(file, 10), "is truncated: 10 bytes, and its record says 14"),
        (
            lambda file: file.write_text("no dump at ALL"),
            "is damaged: its SHA-256 is not the one in its record",
        ),
        (lambda file: manifest.manifest_path(file).unlink(), "there is no a.dump.json beside it"),
        (
            lambda file: manifest.manifest_path(file).write_text("{"),
            "a.dump.json is not the record of a backup",
        ),
        (
            lambda file: manifest.manifest_path(file).write_text("[]"),
            "a.dump.json is not the record of a backup",
        ),
        (
            lambda file: manifest.manifest_path(file).write_bytes(b"\xff"),
            "a.dump.json is not the record of a backup",
        ),
        (
            lambda file: manifest.write_manifest(changed(file, server_version="eighteen")),
            "is not the record of a backup: ValueError: 'eighteen' is no version",
        ),
        (_link, "is a link to .*real.dump: name the file itself"),
        (_folder, "is a folder"),
    ],
)
def test_a_damaged_file_is_refused_in_words(file: Path, damage, words: str) -> None:
    damage(file)
    with pytest.raises((InvalidBackupFile, CorruptBackup), match=words):
        manifest.verify_file(file)


def test_a_file_that_may_not_be_read_is_refused_in_words(file: Path) -> None:
    file.chmod(0)
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(InvalidBackupFile, match=r"cannot be read: Permission denied\."):
            manifest.verify_file(file)
    finally:
        os.seteuid(before)


@pytest.mark.django_db(transaction=True)
def test_what_is_no_dump_is_told_by_pg_restore_and_nothing_is_left(file: Path) -> None:
    server = Server.default()
    with pytest.raises(MaintenanceFailed, match="does not appear to be a valid archive"):
        verify_backup(manifest.verify_file(file), server)
    assert json.loads(manifest.manifest_path(file).read_text())["verified_at"] is None


def pretend(folder: Path, version: str, does: str = "exit 1") -> str:
    """Programs that say that they are of that version."""
    folder.mkdir()
    for name in ("pg_dump", "pg_restore", "psql"):
        script = folder / name
        told = f"[ $1 = --version ] && echo '{name} (PostgreSQL) {version}' && exit"
        script.write_text(f"#!/bin/sh\n{told}\n{does}\n")
        script.chmod(0o755)
    return str(folder)


@pytest.mark.parametrize(
    ("major", "chosen"),
    [
        (15, "15.20 (Debian 15.20-0+deb12u1)"),
        (16, "18.6"),
        (18, "18.6"),  # the newest of its major version
        (19, "19rc1"),
        (20, "22.1"),  # released, where the server's own version is not there
        (23, "23devel"),
    ],
)
def test_the_programs_nearest_to_the_server_are_chosen(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch, major: int, chosen: str
) -> None:
    there = [
        "19beta3",
        "15.20 (Debian 15.20-0+deb12u1)",
        "18.4",
        "18.6",
        "19rc1",
        "21beta2",
        "22.1",
        "23devel",
    ]
    folders = [pretend(tmp_path / str(place), version) for place, version in enumerate(there)]
    monkeypatch.setattr(client_tools, "_BIN_DIRECTORY_GLOBS", (str(tmp_path / "[0-6]"),))
    monkeypatch.setenv("PATH", folders[7])
    settings.PG_BIN = []
    assert client_tools.choose_client_tools(major).version == chosen.split()[0]


def test_a_folder_of_the_path_that_cannot_be_looked_into_is_passed_over(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_tools, "_BIN_DIRECTORY_GLOBS", ())
    (closed := tmp_path / "closed").mkdir(mode=0)  # to root it is open, but no name is that long
    unreadable = [str(closed), str(tmp_path / ("long" * 100))]
    monkeypatch.setenv("PATH", os.pathsep.join([*unreadable, pretend(tmp_path / "found", "18.6")]))
    settings.PG_BIN = []
    assert client_tools.choose_client_tools(18).version == "18.6"


def test_programs_that_were_named_are_taken_where_they_fit(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_tools, "_BIN_DIRECTORY_GLOBS", (str(tmp_path / "found"),))
    monkeypatch.setenv("PATH", "")
    pretend(tmp_path / "found", "18.6")
    settings.PG_BIN = [pretend(tmp_path / "named", "18.4"), pretend(tmp_path / "old", "15.2")]
    assert [client_tools.choose_client_tools(major).version for major in (16, 18)] == ["18.4", "18.4"]
    with pytest.raises(
        ClientToolNotFound, match=r"(?s)found: 15\.2 in .*, 18\.4 in .*, 18\.6 in .*postgresql-client-20"
    ):
        client_tools.choose_client_tools(20)


def test_programs_without_tls_are_passed_over_where_the_server_is_reached_over_it(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_debian_postgres()
    wheel = find_postgres_bin(16) / "pg_dump"
    settings.PG_BIN = [pretend(tmp_path / "wheel", "15.99", f'exec {shlex.quote(str(wheel))} "$@"')]
    monkeypatch.setattr(client_tools, "_BIN_DIRECTORY_GLOBS", (str(DEBIAN),))
    monkeypatch.setenv("PATH", "")
    asked = {"host": "db", "port": "1,2", "password": "hidden"}
    tls, plain = Server({**asked, "sslmode": "verify-full"}), Server(asked)
    assert client_tools.choose_client_tools(15, tls).folder == DEBIAN
    assert client_tools.choose_client_tools(15, plain).version == "15.99"
    assert client_tools.choose_client_tools(15, plain, encrypted=True).folder == DEBIAN
    monkeypatch.setattr(client_tools, "_BIN_DIRECTORY_GLOBS", ())
    assert (
        client_tools.choose_client_tools(15, plain, encrypted=True).version == "15.99"
    )  # the server may do without
    with pytest.raises(
        ClientToolNotFound, match=r'15\.99 in .*: pg_dump: error: sslmode value "verify-full" invalid'
    ):
        client_tools.choose_client_tools(15, tls)


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("suffix", [".dump", ".sql.gz"])
def test_programs_newer_than_the_server_serve_as_well(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    settings.PG_BIN = [str(find_postgres_bin(18))]
    monkeypatch.setattr(client_tools, "_BIN_DIRECTORY_GLOBS", ())
    monkeypatch.setenv("PATH", "")
    made = create_backup(tmp_path / f"a{suffix}")
    assert versions.parse_major_version(made.program_version) == 18
    verify_backup(made, Server.default())
    assert made.verified_at


@pytest.mark.django_db(transaction=True)
def test_a_client_of_a_beta_beside_the_others_is_no_trouble(tmp_path: Path, settings: Any) -> None:
    settings.PG_BIN = [pretend(tmp_path / "beta", "19beta1"), *settings.PG_BIN]
    made = create_backup(tmp_path / "a.dump")
    assert made.program_version != "19beta1"
    told = json.loads(manifest.manifest_path(made.file).read_text())
    told["server_version"] = "0rc1 (Debian)"
    manifest.manifest_path(made.file).write_text(json.dumps(told))
    assert manifest.verify_file(made.file).server_version == "0rc1 (Debian)"
    verify_backup(manifest.verify_file(made.file), Server.default())


def test_the_password_is_in_no_argument_and_in_no_message(tmp_path: Path) -> None:
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
def test_backups_are_listed_the_newest_first_and_those_not_here_are_marked(
    tmp_path: Path, settings, file: Path
) -> None:
    settings.BACKUP_DIR = str(tmp_path)
    assert called("backups").splitlines()[1].startswith(f"{file} ")
    made = manifest.read_manifest(file)
    made.path, made.started_at = "/elsewhere/b.sql", made.started_at + timedelta(hours=1)
    made.save()
    lines = called("backups").splitlines()
    assert [line.split("  ")[0] for line in lines[1:]] == ["/elsewhere/b.sql (not here)", str(file)]


@pytest.mark.django_db(transaction=True)
def test_a_run_can_demand_a_fresh_backup_and_tells_when_it_was_overridden(settings, file: Path) -> None:
    settings.OPS_BACKUP_MAX_AGE = timedelta(hours=24)
    declared = make_operation(Thing.objects.filter(note=None), {"note": "x"})
    with pytest.raises(BackupRequired, match=r"and there is none\. Make one: manage.py backup_db --verify"):
        create_run(declared)
    made = manifest.read_manifest(file)
    made.verified_at = made.started_at = timezone.now()
    made.save()
    with pytest.raises(BackupRequired, match="and there is none"):  # that is the backup of another database
        create_run(declared)
    made.database, made.started_at = Server.default().database, timezone.now() - timedelta(hours=30)
    made.save()
    with pytest.raises(
        BackupRequired, match=r"not older than 24 h 0 min is demanded.* the newest is 30 h 0 min old"
    ):
        create_run(declared)
    overridden = create_run(declared, without_backup=True)
    assert overridden.without_backup
    assert "  backup    not asked for (--no-backup)" in format_details(overridden)
    overridden.claims.all().delete()
    made.started_at = timezone.now()
    made.save()
    assert not create_run(declared, without_backup=True).without_backup
    assert backup_policy.find_newest_verified_backup() == made
