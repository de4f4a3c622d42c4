"""backfill_rarity_v2, bulk_promote and verify_rarity_v2, as an operator types them."""

import json
from typing import Any

import pytest

from cards.models import Card, PresentationRule
from cards.operations import BulkPromote
from ops.models import AuditLog, Run
from ops.runs.creation import RunRequest, create_run
from ops.sql.dual_write import dual_writes_off
from tests.conftest import Manage
from tests.ops.output import assert_output

pytestmark = pytest.mark.usefixtures("rules")


def cards(rarities: str, **values: Any) -> None:
    """Cards as the old backend left them, one for each word."""
    with dual_writes_off():
        Card.objects.bulk_create(
            Card(card_id=f"card-{n}", title=f"Card {n}", rarity=rarity, pack_id="aves", **values)
            for n, rarity in enumerate(rarities.split(), start=1)
        )


def test_a_backfill_is_previewed_executed_and_verified(manage: Manage) -> None:
    cards("common common rare")
    assert_output(
        manage("verify_rarity_v2"),
        """
          FAILED  cards without rarity_v2: 3, such as card-1, card-2, card-3
          ok      cards whose rarity_v2 differs from rarity: 0
        To fill it: manage.py backfill_rarity_v2
        """,
        status=1,
    )
    assert_output(
        manage("backfill_rarity_v2"),
        """
        backfill_rarity_v2: Copy rarity into rarity_v2 where it is missing.

          would change  3 cards
          by rarity     common 2 · rare 1
          estimate      less than a second, assuming RATE rows/s

          for example
            card-1  rarity_v2: NULL -> common
            card-2  rarity_v2: NULL -> common
            card-3  rarity_v2: NULL -> rare

        Nothing was written. To execute: manage.py backfill_rarity_v2 --execute
        """,
    )
    assert not Run.objects.exists()
    assert_output(
        manage("backfill_rarity_v2", "--execute", "--as", "ada"),
        """
        Run N succeeded: 3 changed in DURATION (RATE rows/s), K batches, 1 sweep.
          ok      cards without rarity_v2: 0
          ok      cards whose rarity_v2 differs from rarity: 0
        To see it again: manage.py runs show N
        To go on with the column change: manage.py column_change rarity_v2 next
        """,
    )
    assert_output(
        manage("verify_rarity_v2"),
        """
          ok      cards without rarity_v2: 0
          ok      cards whose rarity_v2 differs from rarity: 0
        """,
    )
    assert_output(
        manage("backfill_rarity_v2"),
        """
        backfill_rarity_v2: Copy rarity into rarity_v2 where it is missing.

        No card needs the change.
        """,
    )
    assert set(AuditLog.objects.values_list("performed_by", "action")) == {("ada", "backfill_rarity_v2")}


def test_a_promotion_keeps_both_columns_equal(manage: Manage) -> None:
    cards("common common rare", rarity_v2="common")
    Card.objects.filter(rarity="rare").update(rarity_v2="rare")
    preview = """
        bulk_promote: Promote every card of one rarity to another.

          would change  2 cards
          by pack_id    aves 2
          estimate      less than a second, assuming RATE rows/s

          for example
            card-1  rarity: common -> rare, rarity_v2: common -> rare
            card-2  rarity: common -> rare, rarity_v2: common -> rare

        Nothing was written. To execute: manage.py bulk_promote --from common --to rare --execute
        """
    assert_output(manage("bulk_promote", "--from", "common", "--to", "rare"), preview)
    assert_output(manage("bulk_promote", "--from", "common", "--to", "rare", "--dry-run"), preview)
    assert Card.objects.filter(rarity="common").count() == 2
    assert_output(
        manage("bulk_promote", "--from", "common", "--to", "rare", "--batch-size", "1", "--execute"),
        """
        Run N succeeded: 2 changed in DURATION (RATE rows/s), K batches, 1 sweep.
          ok      cards whose rarity_v2 differs from rarity: 0
        To see it again: manage.py runs show N
        """,
    )
    assert set(Card.objects.values_list("rarity", "rarity_v2")) == {("rare", "rare")}
    assert [row.changes for row in AuditLog.objects.all()] == [
        {"rarity": {"old": "common", "new": "rare"}, "rarity_v2": {"old": "common", "new": "rare"}}
    ] * 2


def test_every_flag_of_a_promotion_says_what_it_means(manage: Manage) -> None:
    told = " ".join(manage("bulk_promote", "--help").stdout.split())
    assert "--from VALUE Rarity of the cards to promote" in told
    assert "--to VALUE New rarity" in told
    assert "--allow-demotion Allow a lower rarity" in told


def test_a_demotion_can_be_allowed(manage: Manage) -> None:
    cards("rare", rarity_v2="rare")
    done = manage("bulk_promote", "--from", "rare", "--to", "common", "--allow-demotion", "--execute")
    assert (done.returncode, done.stderr) == (0, "")
    assert Card.objects.get().rarity_v2 == "common"


def test_a_filter_narrows_and_is_repeated_in_the_words_to_type(manage: Manage) -> None:
    cards("common common")
    Card.objects.filter(card_id="card-2").update(pack_id="a b")
    assert_output(
        manage("backfill_rarity_v2", "--filter", "pack_id=a b"),
        """
        backfill_rarity_v2: Copy rarity into rarity_v2 where it is missing.

          would change  1 card
          by rarity     common 1
          estimate      less than a second, assuming RATE rows/s

          for example
            card-2  rarity_v2: NULL -> common

        Nothing was written. To execute: manage.py backfill_rarity_v2 --filter 'pack_id=a b' --execute
        """,
    )


def test_differing_columns_are_found_and_shown(manage: Manage) -> None:
    cards("common rare epic", rarity_v2="rare")
    assert_output(
        manage("verify_rarity_v2"),
        """
          ok      cards without rarity_v2: 0
          FAILED  cards whose rarity_v2 differs from rarity: 2, such as card-1, card-3
        """,
        status=1,
    )
    done = manage("verify_rarity_v2", "--json")
    (event,) = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, event["event"], [c["found"] for c in event["checks"]]) == (1, "checks", [0, 2])


KNOWN = "the known ones: common, rare, epic, legendary."
WRONG = [
    (["--from", "mythic", "--to", "rare"], f"--from: unknown rarity 'mythic'; {KNOWN}"),
    (["--from", "common", "--to", "Rare"], f"--to: unknown rarity 'Rare'; {KNOWN}"),
    (["--from", "rare", "--to", "rare"], "--to: the cards already have the rarity 'rare'."),
    (
        ["--from", "epic", "--to", "common"],
        "--allow-demotion: this is a demotion (epic to common). To allow it, set this option.",
    ),
    (["--from", "", "--to", "rare"], "--from: This field is required."),
    (["--to", "rare"], "the following arguments are required: --from"),
    (["--from", "common"], "the following arguments are required: --to"),
    ([], "the following arguments are required: --from, --to"),
    (["--from", "common", "--to", "rare", "--shoe"], "unrecognized arguments: --shoe"),
    (
        ["--from", "common", "--to", "rare", "--dry-run", "--execute"],
        "argument --execute: not allowed with argument --dry-run",
    ),
    (
        ["--from", "common", "--to", "rare", "--batch-size", "0"],
        "argument --batch-size: '0' is not a whole number from 1 to 2,147,483,647",
    ),
    (
        ["--from", "common", "--to", "rare", "--batch-size", "-1"],
        "argument --batch-size: '-1' is not a whole number from 1 to 2,147,483,647",
    ),
    (
        ["--from", "common", "--to", "rare", "--batch-size", "abc"],
        "argument --batch-size: 'abc' is not a whole number from 1 to 2,147,483,647",
    ),
    (
        ["--from", "common", "--to", "rare", "--filter", "pack_id"],
        "argument --filter: 'pack_id' is not COLUMN=VALUE",
    ),
    (["--from", "common", "--to", "rare", "--filter", "pack=x"], "cards.Card has no column 'pack'; it has "),
    (["--from", "common", "--to", "rare", "--filter", "id=x"], "id=x: “x” value must be an integer."),
    (["--from", "common", "--to", "rare", "--filter", "tags=x"], "tags=x: "),
]


@pytest.mark.parametrize(("flags", "words"), WRONG, ids=lambda value: " ".join(value) or "none")
def test_wrong_words_are_told_with_status_2_and_nothing_is_done(
    manage: Manage, flags: list[str], words: str
) -> None:
    done = manage("bulk_promote", *flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not Run.objects.exists()


def test_without_any_rules_the_way_to_load_them_is_told(manage: Manage) -> None:
    PresentationRule.objects.all().delete()
    done = manage("bulk_promote", "--from", "common", "--to", "rare")
    assert done.returncode == 2
    assert "none yet (manage.py load_rules --execute loads them)" in done.stderr


def test_a_second_promotion_waits_for_the_first(manage: Manage) -> None:
    run = create_run(RunRequest(BulkPromote, "ada", {"from_rarity": "common", "to_rarity": "rare"}))
    done = manage("bulk_promote", "--from", "rare", "--to", "epic", "--execute")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"Run {run.pk} (bulk_promote, queued) has reserved " in done.stderr
    assert f"manage.py runs cancel {run.pk}" in done.stderr
