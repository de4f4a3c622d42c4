"""The triggers that keep rarity and rarity_v2 equal while both columns are in use."""

from functools import partial

import pgtrigger
from pgtrigger import F, Q

# They apply to every writer: the ORM, bulk updates, psql, old code still running. If both columns change, or
# rarity_v2 becomes NULL, the row is stored as written, so that a backfill can be reverted. The conditions
# skip rows that need no change, since a call for every row takes a third of the time of a bulk operation.
_rarities_differ = Q(new__rarity__df=F("new__rarity_v2"))
_only_rarity_changed = Q(new__rarity__df=F("old__rarity"), new__rarity_v2__ndf=F("old__rarity_v2"))
_only_rarity_v2_changed = Q(new__rarity__ndf=F("old__rarity"), new__rarity_v2__df=F("old__rarity_v2"))

keep_rarity_equal = pgtrigger.Trigger(
    name="keep_rarity_equal",
    when=pgtrigger.Before,
    operation=pgtrigger.UpdateOf("rarity", "rarity_v2"),  # type: ignore[no-untyped-call]
    condition=_rarities_differ
    & (_only_rarity_changed | (_only_rarity_v2_changed & Q(new__rarity_v2__isnull=False))),
    func="""
        IF NEW.rarity IS DISTINCT FROM OLD.rarity THEN
            NEW.rarity_v2 := NEW.rarity;
        ELSE
            NEW.rarity := NEW.rarity_v2;
        END IF;
        RETURN NEW;
    """,
)
fill_rarity_v2 = pgtrigger.Trigger(
    name="fill_rarity_v2",
    when=pgtrigger.Before,
    operation=pgtrigger.Insert,
    condition=Q(new__rarity_v2__isnull=True),
    func="NEW.rarity_v2 := NEW.rarity; RETURN NEW;",
)

rarity_triggers = [fill_rarity_v2, keep_rarity_equal]
ignore_rarity_triggers = partial(
    pgtrigger.ignore, *(f"cards.Card:{trigger.name}" for trigger in rarity_triggers)
)
