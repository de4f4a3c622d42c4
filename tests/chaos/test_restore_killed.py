"""A restore killed at random instants: the old database serves on, or the new one stands whole."""

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

_THINGS = "SELECT count(*) FROM trials_thing"
_OURS = "SELECT datname FROM pg_database WHERE starts_with(datname, %s) AND NOT datname ~ '_before_'"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(connection.get_connection_params(), f"live_{secrets.token_hex(4)}")
    yield server
    with server.connect_for_maintenance() as maintenance:
        found = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
        for (name,) in maintenance.execute(found, [server.database]).fetchall():
            maintenance.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_a_restore_killed_at_any_instant_leaves_the_old_database_or_the_new_one_serving(
    manage: Manage, server: Server, dose: Dose, tmp_path: Path
) -> None:
    kept = len(create_things(dose.cards))
    file = create_backup(tmp_path / "a.dump").file
    began = time.monotonic()
    restore_backup(file, server, lambda told: None)
    took = time.monotonic() - began
    trial = Trial(manage.database_url.rpartition("/")[0] + f"/{server.database}")
    kills, swapped = 0, 0
    while kills < dose.restores:
        trial.query("DELETE FROM trials_thing WHERE id = (SELECT min(id) FROM trials_thing)")
        [(old,)] = trial.query(_THINGS)  # by which it is known
        process = trial.start("restore_db", file, "--confirm", server.database)
        time.sleep(random.uniform(0.3, 1.3) * (took + 0.5))  # Python and Django take half a second to come up
        process.kill()
        process.communicate()
        kills += 1
        [(now,)] = trial.query(_THINGS)
        assert now in (old, kept)
        swapped += now == kept
    trial.manage("restore_db", file, "--confirm", server.database)
    assert trial.query(_THINGS) == [(kept,)]
    assert trial.query(_OURS, server.database) == [(server.database,)]  # what the killed ones left is gone
    print(f"{kills} restores killed, {swapped} of them after the swap")
