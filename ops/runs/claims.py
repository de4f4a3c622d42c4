"""Claims on columns: only one run at a time writes a column."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import IntegrityError, transaction

from ops.exceptions import ColumnClaimed
from ops.models import Claim, Run
from ops.runs.next_steps import list_next_steps
from ops.runs.status import read_run_status, status_label

_MAX_ATTEMPTS = 20


def acquire(run: Run) -> None:
    """Claim the run's columns, all or none. Raises ColumnClaimed, which names the run that holds one."""
    release(run)
    for _ in range(_MAX_ATTEMPTS):
        new_claims = [Claim(run=run, model=run.model, column=column) for column in sorted(run.columns)]
        try:
            with transaction.atomic():
                Claim.objects.bulk_create(new_claims)
            return
        except IntegrityError as exc:
            if claim := find_claim(run.model, run.columns):  # else its run has just ended: try again
                raise _column_claimed_error(claim) from exc
    raise ColumnClaimed(f"Other runs keep reserving columns of {run.model}. Try again.")


def release(run: Run) -> None:
    Claim.objects.filter(run=run).delete()


def find_claim(model: str, columns: Iterable[str]) -> Claim | None:
    """Return a claim on one of these columns of the model, or None."""
    return Claim.objects.filter(model=model, column__in=columns).select_related("run").first()


def _column_claimed_error(claim: Claim) -> ColumnClaimed:
    other = claim.run
    status = read_run_status(other)
    holder = f"Run {other.pk} ({other.operation}, {status_label(status.status)})"
    return ColumnClaimed(
        f"{holder} has reserved {claim.model}.{claim.column}.",
        "\n  ".join(["Let it finish, or cancel it:", *map(str, list_next_steps(status))]),
        holder=other,
    )
