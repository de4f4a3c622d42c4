"""The scenarios: what a developer edits and an operator types, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.checkout import Checkout

Step = tuple[str, Callable[[], object]]

# A command that only looks: the time that each command takes to start.
START = "show"

_NO_WAIT = """
    retire_after = timedelta(0)
    drop_after = timedelta(0)
    no_wait_reason = "a benchmark"
"""
_INDEX = 'models.Index(fields=["pack_id", "rarity"], name="idx_cards_pack_rarity")'
_NEW_INDEX = 'models.Index(fields=["pack_id", "rarity_v2"], name="idx_cards_pack_rarity_v2")'
_MODELS, _OPERATIONS = "cards/models.py", "cards/operations.py"


@dataclass(frozen=True)
class Scenario:
    """``columns`` are those that players use before and after the switch; ``values`` is what they write.

    ``steps`` yields each step's name, and what takes it.
    """

    name: str
    change: str
    columns: tuple[str, str]
    values: tuple[str, ...]
    steps: Callable[[Checkout], Iterator[Step]]


def _rarity_steps(checkout: Checkout) -> Iterator[Step]:
    """The whole change of rarity, and the way back after it was retired."""

    def declare() -> None:
        checkout.edit(_OPERATIONS, "from __future__ import annotations\n", _IMPORT_TIMEDELTA)
        checkout.edit(_OPERATIONS, '    old = "rarity"\n', f'{_NO_WAIT}    old = "rarity"\n')
        checkout.edit(
            _MODELS,
            "rarity_v2 = models.CharField(max_length=64, null=True, blank=True, db_default=None)",
            'rarity_v2 = models.CharField(max_length=64, db_default="common")',
        )
        checkout.edit(_MODELS, f"indexes = [{_INDEX}]", f"indexes = [{_INDEX},\n            {_NEW_INDEX}]")

    def leave() -> None:
        for line in (
            '    rarity = models.CharField(max_length=32, db_default="common")\n',
            '            not_empty_check("rarity", name="cards_rarity_not_empty"),\n',
            f"{_INDEX},\n            ",
        ):
            checkout.edit(_MODELS, line, "")

    declare()
    yield START, _typed(checkout, "column_change", "rarity_v2")
    yield "plan", _typed(checkout, "column_change", "rarity_v2", "plan")
    yield from _take(checkout, "rarity_v2", "backfill", "verify", "constrain", "switch")
    leave()
    yield "write retire", _typed(checkout, "column_change", "rarity_v2", "next", "--execute")
    # As a deploy does: the command would name the places in the catalogue's code that still name rarity.
    yield "retire", _typed(checkout, "migrate")
    yield "back from retire", _typed(checkout, "column_change", "rarity_v2", "back", "--execute")
    yield "retire again", _typed(checkout, "migrate")
    yield from _drop(checkout, "rarity_v2")


_IMPORT_TIMEDELTA = "from __future__ import annotations\n\nfrom datetime import timedelta\n"


_PACK_ID = "    pack_id = models.CharField(max_length=128)\n"
_FEATURED = "    featured = models.BooleanField(db_default=False)\n"
_FEATURED_LEVEL = "    featured_level = models.PositiveSmallIntegerField()\n"
_FEATURED_CHANGE = f"""

@register_change
class FeaturedLevel(ColumnChange):
    name = "featured_level"
    model = Card
    old = "featured"
    new = "featured_level"
    mapping = {{False: 0, True: 1}}
{_NO_WAIT}"""
_REMOVAL = f"""

from ops.column_changes import ColumnRemoval


@register_change
class RemoveFeaturedLevel(ColumnRemoval):
    name = "remove_featured_level"
    model = Card
    old = "featured_level"
{_NO_WAIT}"""


def _guide_steps(checkout: Checkout) -> Iterator[Step]:
    """The four scenarios of the guide: a new field, an index, another type, a field that goes."""
    checkout.edit(_MODELS, _PACK_ID, _PACK_ID + _FEATURED)
    yield "new field", _migrated(checkout, "featured")
    checkout.edit(_MODELS, f"indexes = [{_INDEX}]", f"indexes = [{_INDEX},\n            {_NEW_INDEX}]")
    yield "new index", _migrated(checkout, "index")
    checkout.edit(_MODELS, _FEATURED, _FEATURED + _FEATURED_LEVEL)
    checkout.edit(_OPERATIONS, "from __future__ import annotations\n", _IMPORT_TIMEDELTA)
    checkout.append(_OPERATIONS, _FEATURED_CHANGE)
    yield "type: plan", _typed(checkout, "column_change", "featured_level", "plan")
    yield from _take(checkout, "featured_level", "expand", "backfill", "verify", "constrain", "switch")
    checkout.edit(_MODELS, _FEATURED, "")
    yield "write retire", _typed(checkout, "column_change", "featured_level", "next", "--execute")
    yield from _take(checkout, "featured_level", "retire")
    yield from _drop(checkout, "featured_level")
    checkout.edit(_OPERATIONS, _FEATURED_CHANGE, _REMOVAL)
    yield "removal: plan", _typed(checkout, "column_change", "remove_featured_level", "plan")
    yield from _take(checkout, "remove_featured_level", "expand")
    checkout.edit(_MODELS, _FEATURED_LEVEL, "")
    yield "write retire", _typed(checkout, "column_change", "remove_featured_level", "next", "--execute")
    yield from _take(checkout, "remove_featured_level", "retire")
    yield from _drop(checkout, "remove_featured_level")


def _migrated(checkout: Checkout, name: str) -> Callable[[], object]:
    def apply() -> None:
        checkout.manage("makemigrations", "cards", "--name", name)
        checkout.manage("migrate")

    return apply


def _typed(checkout: Checkout, *args: str) -> Callable[[], object]:
    return lambda: checkout.manage(*args)


def _take(checkout: Checkout, change: str, *steps: str) -> Iterator[Step]:
    for step in steps:
        yield step, _typed(checkout, "column_change", change, "next", "--execute")


def _drop(checkout: Checkout, change: str) -> Iterator[Step]:
    yield "backup", _typed(checkout, "backup_db", "--verify")
    yield "write drop", _typed(checkout, "column_change", change, "next", "--execute")
    yield "drop", _typed(checkout, "migrate")


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "rarity",
            "rarity_v2",
            ("rarity", "rarity_v2"),
            ("common", "rare", "epic", "legendary"),
            _rarity_steps,
        ),
        # Its players write another column: theirs is one of the table that is changed all the time.
        Scenario("guide", "featured_level", ("title", "title"), ("one", "two", "three"), _guide_steps),
    )
}
