"""The flag of the step switch flipped, there and back, while many processes read by it and others write."""

from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from textwrap import dedent
from time import monotonic

import pytest

from ops.column_changes.readers import MAX_AGE
from tests.chaos.conftest import Dose
from tests.ops.running import wait_until
from tests.ops.shop import BACK, NEXT, PLAN, Player, shop

pytestmark = pytest.mark.long

# Reads rows by the field that the flag names until its input ends; a line for each time: the moments before
# it asked and after it has read, the field, and whether each row had a value.
READER = """
import json, os, select, sys, time
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
import django
django.setup()
from ops.column_changes import read_column
from shop.models import Item
from shop.operations import RarityV2

while not select.select([sys.stdin], [], [], 0.01)[0]:
    asked = time.monotonic()
    field = read_column(RarityV2)
    values = list(Item.objects.order_by("pk").values_list(field, flat=True)[:20])
    print(json.dumps([asked, time.monotonic(), field, all(values)]), flush=True)
"""


def check_answers(reader: Player, began: float, ended: float, before: str, after: str) -> None:
    """Check what the reader was told around a flip that began and ended at these moments."""
    newest = ended + MAX_AGE.total_seconds()
    wait_until(lambda: reader.rounds[-1][0] > newest)
    answers = list(reader.rounds)
    del reader.rounds[:-1]
    assert all(has_values for *_, has_values in answers)
    assert {field for _, read, field, _ in answers if read < began} <= {before}
    assert {field for asked, _, field, _ in answers if asked > newest} == {after}
    fields = [field for _, _, field, _ in answers]
    assert sum(one != other for one, other in pairwise(fields)) <= 1


def test_every_process_follows_the_flag_once_and_in_time(tmp_path: Path, dose: Dose) -> None:
    with shop(tmp_path) as project, ExitStack() as last:
        (project.root / "both" / "reader.py").write_text(dedent(READER))
        project.manage("both", PLAN, *[NEXT] * 4)  # expand, backfill, verify, constrain
        readers = [Player(project, "both", "reader.py") for _ in range(4 if dose.is_large else 3)]
        players = [Player(project, generation) for generation in ("old", "both", "new")]
        for each in [*readers, *players]:
            last.callback(each.stop)
            each.play()
        for command, before, after in [
            (NEXT, "rarity", "rarity_v2"),
            (BACK, "rarity_v2", "rarity"),
        ] * (10 if dose.is_large else 1):
            began = monotonic()
            project.manage("both", command)
            ended = monotonic()
            for reader in readers:
                check_answers(reader, began, ended, before, after)
        for player in players:
            player.play()
            assert player.problems == []
