"""The catalogue's own operations."""

import pytest

from cards.models import Card
from cards.operations import BulkPromote
from ops.exceptions import InvalidParams
from ops.operations import registry
from ops.runs import lifecycle
from ops.sql.dual_write import dual_writes_off
from tests.ops.running import audited_changes, execute_operation, execute_run

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("rules")]


def make(card_id: str, rarity: str, **values: object) -> Card:
    return Card.objects.create(card_id=card_id, title=card_id, rarity=rarity, pack_id="p", **values)


def test_a_backfill_fills_what_is_missing_and_nothing_else() -> None:
    with dual_writes_off():
        old = [make("a", "common"), make("b", "epic")]
        make("c", "rare", rarity_v2="epic")
    make("d", "rare")
    run = execute_operation(registry.get_operation("backfill_rarity_v2"))
    assert audited_changes(run) == {
        str(old[0].pk): {"rarity_v2": {"old": None, "new": "common"}},
        str(old[1].pk): {"rarity_v2": {"old": None, "new": "epic"}},
    }
    assert run.state == "verification_failed"  # c was unequal before, which a backfill does not mend
    assert [(check["found"], check["sample"]) for check in run.checks] == [(0, []), (1, ["c"])]
    assert list(Card.objects.order_by("card_id").values_list("rarity_v2", flat=True)) == [
        *("common", "epic", "epic", "rare")
    ]


def test_a_backfill_that_was_refused_by_its_checks_can_go_on_once_mended() -> None:
    with dual_writes_off():
        make("c", "rare", rarity_v2="epic")
    run = execute_operation(registry.get_operation("backfill_rarity_v2"))
    assert run.state == "verification_failed"
    Card.objects.update(rarity="epic", rarity_v2="epic")
    lifecycle.requeue(run)
    assert execute_run(run).state == "succeeded"


def test_a_promotion_sets_and_audits_both_columns() -> None:
    promoted, other = make("a", "common"), make("b", "epic")
    run = execute_operation(BulkPromote, params={"from_rarity": "common", "to_rarity": "rare"})
    assert (run.state, audited_changes(run)) == (
        "succeeded",
        {
            str(promoted.pk): {
                "rarity": {"old": "common", "new": "rare"},
                "rarity_v2": {"old": "common", "new": "rare"},
            }
        },
    )
    other.refresh_from_db()
    assert (other.rarity, other.rarity_v2) == ("epic", "epic")


def test_a_promotion_of_a_card_without_rarity_v2_fills_it() -> None:
    with dual_writes_off():
        card = make("a", "common")
    run = execute_operation(BulkPromote, params={"from_rarity": "common", "to_rarity": "rare"})
    assert audited_changes(run)[str(card.pk)]["rarity_v2"] == {"old": None, "new": "rare"}


@pytest.mark.parametrize(
    ("params", "errors"),
    [
        ({}, {"from_rarity", "to_rarity"}),
        ({"from_rarity": "common", "to_rarity": "none"}, {"to_rarity"}),
        ({"from_rarity": "x", "to_rarity": "y"}, {"from_rarity", "to_rarity"}),
        ({"from_rarity": "rare", "to_rarity": "rare"}, {"to_rarity"}),
        ({"from_rarity": "rare", "to_rarity": "common"}, {"allow_demotion"}),
        ({"from_rarity": "rare", "to_rarity": "common", "allow_demotion": False}, {"allow_demotion"}),
        ({"from_rarity": "rare", "to_rarity": "epic", "why": "x"}, {"why"}),
    ],
)
def test_a_promotion_asked_wrongly_says_which_parameter_is_wrong(params: dict, errors: set[str]) -> None:
    with pytest.raises(InvalidParams) as refused:
        execute_operation(BulkPromote, params=params)
    assert refused.value.errors.keys() == errors


def test_a_demotion_can_be_allowed() -> None:
    make("a", "legendary")
    params = {"from_rarity": "legendary", "to_rarity": "common", "allow_demotion": True}
    assert execute_operation(BulkPromote, params=params).state == "succeeded"
    assert Card.objects.get().rarity == "common"
