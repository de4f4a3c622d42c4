"""Notes of a run by cell: how many cells stay as they are, and why."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Model

from ops.models import Run
from ops.sql.cell_counts import count_cells, count_left
from ops.sql.cells import Cells
from ops.states import State

_ENDED = (State.SUCCEEDED, State.FINISHED_WITH_FAILURES)


def iter_cell_notes(
    cells: Cells, model: type[Model], run: Run | None, *, done: str, since: str
) -> Iterator[str]:
    """Yield the note of the cells that a preview (without a run) or the run leaves.

    ``done`` is what is done to others, such as "written"; ``since`` is when these were changed.
    """
    if run is None:
        left, end = count_cells(cells, model).conflicts, "will not be"
    elif run.state in _ENDED and not (run.scope.get("filter") or run.scope.get("keys")):
        left = count_left(cells, model, run)
        end = "was not" if left == 1 else "were not"
    else:  # Cells that the run has not reached, or that are out of its scope, are no conflicts.
        return
    if left == 1:
        yield f"1 cell {end} {done}: it was changed {since}, or its {model._meta.verbose_name} was deleted."
    elif left:
        nouns = model._meta.verbose_name_plural
        yield f"{left:,} cells {end} {done}: they were changed {since}, or their {nouns} were deleted."
