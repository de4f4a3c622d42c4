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
