"""The reverts of a run. That a run was reverted is not stored, but derived from the runs that reverted it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet, Sum

from ops.models import Run
from ops.operations import ApplyChangeSet
from ops.operations.revert import find_reverts, get_reverted_run
from ops.sql.restored_rows import count_restored_rows
from ops.states import UNFINISHED


@dataclass(frozen=True)
class Reversal:
    """What became of the rows that a run changed.

    A row of a change set counts as restored where one run has set all its cells back.

    ``restored`` are the rows that other runs have set back, by the number of the run; rows whose revert was
    reverted itself do not count. ``active`` is the number of a revert that has not ended.
    """

    changed: int
    restored: Mapping[int, int]
    active: int | None = None
    has_ended_revert: bool = False

    @property
    def left(self) -> int:
        return self.changed - sum(self.restored.values())

    @property
    def is_complete(self) -> bool:
        return bool(self.restored) and self.left <= 0


def read_reversal(run: Run) -> Reversal:
    return read_reversals([run])[run.pk]


def read_reversals(runs: Iterable[Run]) -> dict[int, Reversal]:
    """Return the reversal of each run by its number. Reads all reverts of a level at once."""
    runs = list(runs)
    numbers = [run.pk for run in runs]
    changed = {run.pk: run.changed_ for run in _with_changed(Run.objects.filter(pk__in=numbers))}
    reverts: dict[int | None, list[Any]] = defaultdict(list)
    level = numbers
    while level:
        found = list(_with_changed(find_reverts(*level)))
        for revert in found:
            reverts[get_reverted_run(revert)].append(revert)
            changed[revert.pk] = revert.changed_
        level = [revert.pk for revert in found]
    by_cell = {run.pk for run in runs if run.operation == ApplyChangeSet.name}
    whole = count_restored_rows(
        [(number, revert.pk) for number in by_cell for revert in reverts.get(number, [])]
    )
    return {number: _build_reversal(number, changed, reverts, whole) for number in numbers}


def _build_reversal(
    number: int,
    changed: Mapping[int, int],
    reverts: Mapping[int | None, list[Run]],
    whole: Mapping[tuple[int, int], int],
) -> Reversal:
    """``whole`` are the rows of which a run has set all cells back, by the two runs."""
    found = reverts.get(number, [])
    restored = {revert.pk: _build_reversal(revert.pk, changed, reverts, whole).left for revert in found}
    restored = {key: min(rows, whole.get((number, key), rows)) for key, rows in restored.items()}
    return Reversal(
        changed=changed[number],
        restored={key: rows for key, rows in restored.items() if rows > 0},
        active=next((revert.pk for revert in found if revert.state in UNFINISHED), None),
        has_ended_revert=any(revert.state not in UNFINISHED for revert in found),
    )


def _with_changed(runs: QuerySet[Run]) -> QuerySet[Any]:
    return runs.annotate(changed_=Sum("lanes__changed", default=0))
