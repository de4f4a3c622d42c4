"""Old code and new code run while the column changes: what each of them sees at every step."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ops.shop import BACK, NEXT, PLAN, Player, Shop, playing, shop

pytestmark = pytest.mark.long


@contextmanager
def retired_beside_old_code(project: Shop, next_step: str, back: str, message: str) -> Iterator[None]:
    """Retire for the block, and take it back, while old code tries to go on: only meanwhile it fails."""
    old = Player(project, "old")
    try:
        old.play()
        project.manage("new", next_step)
        old.play()
        assert old.problems
        assert all(re.search(message, each["message"]) for each in old.problems)
        yield
        project.manage("new", back)
        seen = len(old.problems)
        with playing(project, "old"):
            old.play()
        assert len(old.problems) == seen
    finally:
        old.stop()


def differing(project: Shop, old: str, new: str) -> int:
    [(count,)] = project.execute(f"SELECT count(*) FROM shop_item WHERE {old} IS DISTINCT FROM {new}")
    return int(count)


IS_CLEAN = "makemigrations --check --dry-run"
TO_SWITCH = [NEXT] * 4  # backfill, verify, constrain, switch


def test_two_generations_of_code_live_through_a_change(tmp_path: Path) -> None:
    with shop(tmp_path) as project:
        with playing(project, "old", "old"):
            project.manage("both", PLAN, IS_CLEAN, NEXT)
            with playing(project, "both"):
                project.manage("both", *TO_SWITCH)
                with playing(project, "new"):
                    assert differing(project, "rarity", "rarity_v2") == 0
        project.manage("new", NEXT, IS_CLEAN)  # writes the migration of retire
        with playing(project, "new"):
            gone = '^column "rarity" of relation "shop_item" does not exist$'
            with retired_beside_old_code(project, NEXT, BACK, gone):
                assert differing(project, "rarity__retired", "rarity_v2") == 0
            project.manage("new", NEXT, NEXT, IS_CLEAN)  # retires, and writes the migration of drop
            project.add_backup(tmp_path / "file.dump")
            project.manage("new", NEXT, IS_CLEAN)
        reasons = project.execute("SELECT reason FROM ops_column_change_event WHERE reason <> ''")
        assert reasons == [("A test does not wait.",)] * 3


def test_with_a_swap_both_generations_live_on(tmp_path: Path) -> None:
    with shop(tmp_path, swap=True) as project, playing(project, "old", "new"):
        project.manage("both", PLAN, IS_CLEAN, NEXT, NEXT, NEXT, NEXT)
        project.manage("new", NEXT, IS_CLEAN, NEXT)
        assert differing(project, "rarity__retired", "rarity") == 0
        project.manage("new", BACK)
        assert differing(project, "rarity", "rarity_v2") == 0
        project.manage("new", NEXT, NEXT, IS_CLEAN)
        project.add_backup(tmp_path / "file.dump")
        project.manage("new", NEXT, IS_CLEAN)
        names = project.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'shop_item'")
        assert {name for (name,) in names} == {"shop_item_pkey", "idx_rarity"}
