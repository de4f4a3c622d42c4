"""The trigger that keeps rarity and rarity_v2 equal while both live side by side."""

import pgtrigger

# Every writer passes here: the ORM, bulk updates, psql, old code still running. Both changed, or rarity_v2
# set to NULL, stands as written, so that a backfill can be reverted. Equal columns never reach the function,
# which spares the bulk operations (they set both) its price.
keep_rarity_equal = pgtrigger.Trigger(
    name="keep_rarity_equal",
    when=pgtrigger.Before,
    operation=pgtrigger.Insert | pgtrigger.UpdateOf("rarity", "rarity_v2"),  # type: ignore[no-untyped-call]
    condition=pgtrigger.Q(new__rarity__df=pgtrigger.F("new__rarity_v2")),
    func="""
        IF TG_OP = 'INSERT' THEN
            NEW.rarity_v2 := COALESCE(NEW.rarity_v2, NEW.rarity);
        ELSIF NEW.rarity_v2 IS NOT DISTINCT FROM OLD.rarity_v2 THEN
            IF NEW.rarity IS DISTINCT FROM OLD.rarity THEN
                NEW.rarity_v2 := NEW.rarity;
            END IF;
        ELSIF NEW.rarity IS NOT DISTINCT FROM OLD.rarity AND NEW.rarity_v2 IS NOT NULL THEN
            NEW.rarity := NEW.rarity_v2;
        END IF;
        RETURN NEW;
    """,
)
