"""The steps of a column change, in their order."""

from __future__ import annotations

from django.db.models import TextChoices


class Step(TextChoices):
    """A step of a column change. What each does and needs: docs/column-changes.md."""

    EXPAND = "expand"
    BACKFILL = "backfill"
    VERIFY = "verify"
    CONSTRAIN = "constrain"
    SWITCH = "switch"
    RETIRE = "retire"
    DROP = "drop"

    @property
    def position(self) -> int:
        return list(Step).index(self)

    @property
    def previous(self) -> Step | None:
        return list(Step)[self.position - 1] if self.position else None

    @property
    def next(self) -> Step | None:
        return next(iter(list(Step)[self.position + 1 :]), None)


# The steps that a migration takes; commands take the others.
MIGRATION_STEPS = (Step.EXPAND, Step.CONSTRAIN, Step.RETIRE, Step.DROP)
