"""A restore killed at random instants: the live database is the old one, or the complete new one."""

import random
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from psycopg import sql

from ops.backups.dump import create_backup
from ops.backups.restore import restore_backup
from ops.backups.server import Server
from tests.chaos.conftest import Dose
from tests.chaos.trial import Trial
from tests.conftest import Manage
from tests.ops.running import create_things

pytestmark = pytest.mark.long

_COUNT_SQL = "SELECT count(*) FROM trials_thing"
_SCRATCH_NAMES_SQL = (
    "SELECT datname FROM pg_database WHERE starts_with(datname, %s) AND NOT datname ~ '_before_'"
)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(connection.get_connection_params(), f"live_{secrets.token_hex(4)}")
    yield server
    with server.connect_for_maintenance() as maintenance:
        query = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
        for (name,) in maintenance.execute(query, [server.database]).fetchall():
            maintenance.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_a_restore_killed_at_any_instant_leaves_the_old_or_new_database(
    manage: Manage, server: Server, dose: Dose, tmp_path: Path
) -> None:
    restored_count = len(create_things(dose.cards))
    file = create_backup(tmp_path / "a.dump").file
    started = time.monotonic()
    restore_backup(file, server, lambda status: None)
    duration = time.monotonic() - started
    trial = Trial(manage.database_url.rpartition("/")[0] + f"/{server.database}")
    kills, swapped = 0, 0
    while kills < dose.restores:
        trial.query("DELETE FROM trials_thing WHERE id = (SELECT min(id) FROM trials_thing)")
        [(old_count,)] = trial.query(_COUNT_SQL)  # identifies the old database
        process = trial.start("restore_db", file, "--confirm", server.database)
        time.sleep(
            random.uniform(0.3, 1.3) * (duration + 0.5)
        )  # Python and Django take half a second to come up
        process.kill()
        process.communicate()
        kills += 1
        [(count,)] = trial.query(_COUNT_SQL)
        assert count in (old_count, restored_count)
        swapped += count == restored_count
    trial.manage("restore_db", file, "--confirm", server.database)
    assert trial.query(_COUNT_SQL) == [(restored_count,)]
    assert trial.query(_SCRATCH_NAMES_SQL, server.database) == [
        (server.database,)
    ]  # the scratch databases of killed restores are dropped
    print(f"{kills} restores killed, {swapped} of them after the swap")
