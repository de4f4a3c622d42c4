"""A column is removed by a column change: who writes it is told, and it comes back until it is dropped."""

import re
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.ops.shop import Player, removal, shop
from tests.ops.test_column_change_generations import playing

PLAN = "column_change remove_featured plan"
NEXT, BACK = (f"column_change remove_featured {verb} --execute" for verb in ("next", "back"))
IS_CLEAN = "makemigrations --check --dry-run"


@pytest.mark.engine
@pytest.mark.long
def test_two_generations_of_code_live_through_a_removal(tmp_path: Path) -> None:
    with shop(tmp_path, generations=removal()) as project:
        with playing(project, "old", "old"):
            project.manage("old", PLAN, IS_CLEAN, NEXT, IS_CLEAN)
            with playing(project, "new"):
                pass
        project.manage("new", NEXT, IS_CLEAN)  # writes the migration of retire
        with playing(project, "new"), ExitStack() as late:
            old = Player(project, "old")
            late.callback(old.stop)
            old.play()
            project.manage("new", NEXT)
            old.play()
            assert {*re.findall(r"featured.* does not exist", str(old.problems))}
            assert all("featured" in each["message"] for each in old.problems)
            project.manage("new", BACK)
            seen = len(old.problems)
            with playing(project, "old"):
                old.play()
            assert len(old.problems) == seen
            old.stop()
            project.manage("new", NEXT, NEXT, IS_CLEAN)  # retires, and writes the migration of drop
            project.add_backup(tmp_path / "file.dump")
            project.manage("new", NEXT, IS_CLEAN)
        assert "featured" not in str(project.table())
