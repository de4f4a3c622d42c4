"""``migrate`` stops at a gate, and a migration that was killed has done nothing."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.ops.running import wait_until
from tests.ops.shop import BACK, NEXT, PLAN, Shop, shop

pytestmark = [pytest.mark.engine, pytest.mark.long]

_WAITS_SQL = """
SELECT pid FROM pg_locks WHERE NOT granted AND relation = 'ops_column_change_event'::regclass
"""


def test_a_deploy_stops_at_a_gate_with_a_status_of_its_own(tmp_path: Path) -> None:
    with shop(tmp_path) as project:
        project.manage("both", PLAN)
        assert project.run("both", "migrate", "--plan").returncode == 0
        done = project.run("both", "migrate")
        assert done.returncode == 3
        assert "Traceback" not in done.stderr
        assert (
            "CommandError: rarity_v2: the step constrain has to wait. The step verify comes before it:"
            " manage.py column_change rarity_v2 next. To see where it stands:"
            " manage.py column_change rarity_v2" in done.stderr
        )
        applied = "SELECT name FROM django_migrations WHERE app = 'shop' ORDER BY id DESC LIMIT 1"
        assert project.execute(applied) == [("0002_rarity_v2_expand",)]
        assert project.run("both", "sqlmigrate", "shop", "0003").returncode == 0
        assert project.run("both", "migrate", "--fake").returncode == 0
        project.execute(
            "DELETE FROM django_migrations WHERE app = 'shop' AND name LIKE '0003%'; DELETE FROM shop_item"
        )
        assert project.run("both", "migrate").returncode == 0


def test_a_field_of_a_change_is_not_simply_removed(tmp_path: Path) -> None:
    """That is what makemigrations writes for the model from which the old field was removed."""
    with shop(tmp_path) as project:
        project.manage("both", PLAN, *[NEXT] * 5)
        project.manage("new", "makemigrations shop")
        done = project.run("new", "migrate")
        assert done.returncode == 2
        assert "safe: no RemoveField: manage.py column_change NAME next writes the migration" in done.stderr
        assert "Remove field rarity from item" in done.stderr
        assert project.execute("SELECT DISTINCT rarity FROM shop_item") == [("common",)]


def kill_in_migration(project: Shop, generation: str, *words: str) -> None:
    """Kill ``migrate`` with SIGKILL when it has done all but to record the step; nothing is left of it."""
    before = project.catalogue()
    with psycopg.connect(project.url) as other:
        other.execute("LOCK TABLE ops_column_change_event IN SHARE MODE")
        process = project.popen(generation, "manage.py", "migrate", "shop", *words)
        waiting: list[tuple[Any, ...]] = []
        wait_until(lambda: waiting or waiting.extend(project.execute(_WAITS_SQL)))
        process.kill()
        process.communicate()
        [(pid,), *_] = waiting
        gone = f"SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = {pid})"
        wait_until(lambda: project.execute(gone))
        other.rollback()
    assert project.catalogue() == before


@pytest.mark.chaos
def test_a_migration_that_was_killed_is_run_again(tmp_path: Path) -> None:
    with shop(tmp_path) as project:
        start = project.table()
        project.manage("both", PLAN)
        kill_in_migration(project, "both", "0002")
        project.manage("both", NEXT)
        kill_in_migration(project, "both", "0001")
        project.manage("both", BACK)
        assert project.table() == start
        project.manage("both", *[NEXT] * 5)  # to switch
        project.manage("new", NEXT)  # writes the migration of retire
        switched = project.table()
        kill_in_migration(project, "new")
        project.manage("new", NEXT)
        kill_in_migration(project, "new", "0003")
        project.manage("new", BACK)
        assert project.table() == switched
        project.manage("new", NEXT, NEXT)  # retires, and writes the migration of drop
        project.add_backup(tmp_path / "file.dump")
        kill_in_migration(project, "new")
        project.manage("new", NEXT)
        steps = project.execute("SELECT step, is_back FROM ops_column_change_event ORDER BY id")
        assert [f"back from {step}" if is_back else step for step, is_back in steps] == [
            "expand",
            "back from expand",
            *("expand", "backfill", "verify", "constrain", "switch"),
            *("retire", "back from retire", "retire", "drop"),
        ]


_WRITE = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
import django
django.setup()
from ops.column_changes import registry
from ops.column_changes.planning import retirement
from ops.exceptions import OpsError

for write in (retirement.write_retirement, retirement.write_drop):
    try:
        print(write(registry.get_change("rarity_v2")).name)
    except OpsError as exc:
        print(exc)
"""


@pytest.mark.parametrize("swap", [False, True])
def test_retire_and_drop_are_written_once_and_in_order(tmp_path: Path, swap: bool) -> None:
    with shop(tmp_path, swap) as project:

        def write(generation: str) -> list[str]:
            out, err = project.popen(generation, "-c", _WRITE).communicate()
            assert err == ""
            return out.splitlines()

        where = " To see where it stands: manage.py column_change rarity_v2"
        unplanned = "There is no migration of the step {} of rarity_v2." + where
        assert write("new") == [unplanned.format("expand"), unplanned.format("retire")]
        project.manage("both", PLAN)
        gone, edit = (
            ("rarity_v2", "Remove rarity there, and rename rarity_v2 to rarity")
            if swap
            else ("rarity", "Remove rarity there, and all that names it")
        )
        assert write("both") == [
            "The model shop.Item is not as it shall be after retire:"
            f" the field {gone} is still there. {edit}. Then: manage.py column_change rarity_v2 next",
            unplanned.format("retire"),
        ]
        assert write("new") == ["0004_rarity_v2_retire.py", "0005_rarity_v2_drop.py"]
        assert write("new") == [
            "The migration is there already: shop.0004_rarity_v2_retire. Then: manage.py migrate",
            "The migration is there already: shop.0005_rarity_v2_drop. Then: manage.py migrate",
        ]
