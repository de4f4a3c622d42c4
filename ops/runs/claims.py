"""The columns that runs write: claimed by one run at a time."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import IntegrityError, transaction

from ops.exceptions import ColumnClaimed
from ops.models import Claim, Run
from ops.runs.next_steps import list_next_steps
from ops.runs.status import read_run_status, status_label

_MAX_ATTEMPTS = 20


def acquire(run: Run) -> None:
    """Claim the run's columns, all or none. Raises ColumnClaimed, which names the run that has one."""
    release(run)
    for _ in range(_MAX_ATTEMPTS):
        wanted = [Claim(run=run, model=run.model, column=column) for column in sorted(run.columns)]
        try:
            with transaction.atomic():
                Claim.objects.bulk_create(wanted)
            return
        except IntegrityError as exc:
            if held := find_claim(run.model, run.columns):  # else its holder has just ended: claim again
                raise _column_claimed_error(held) from exc
    raise ColumnClaimed(f"runs that write {run.model} come and go: try again")


def release(run: Run) -> None:
    Claim.objects.filter(run=run).delete()


def find_claim(model: str, columns: Iterable[str]) -> Claim | None:
    """A claim on one of these columns of the model, if there is one."""
    return Claim.objects.filter(model=model, column__in=columns).select_related("run").first()


def _column_claimed_error(held: Claim) -> ColumnClaimed:
    other = held.run
    here = read_run_status(other)
    told = f"{other.operation}, {status_label(here.status)}"
    return ColumnClaimed(
        f"{held.model}.{held.column} is being written by run {other.pk} ({told}).",
        "\n  ".join(["Wait until that run has ended, or cancel it:", *map(str, list_next_steps(here))]),
    )
