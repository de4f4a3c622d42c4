"""The search for the row at fault in a batch that failed on its data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.db import DatabaseError
from django.db.models import Model, QuerySet

from ops.engine.batch_size import BatchSize
from ops.engine.statement import BatchBounds
from ops.sql.keyset import Keyset
from ops.sqlstates import failing_row_first_value


# Note [The row that is said to be at fault]
# A batch that failed on its data is tried again smaller and smaller until the row at fault is found: a dozen
# batches, each with its beginning and its COMMIT. But where a CHECK or a NOT NULL is broken, PostgreSQL says
# by which row. Then what lies before that row is tried first, and then that row alone. What it says is a
# guess: a row is set aside when it has failed alone, and for no other reason.
#
# To let the smaller batches share one transaction, each behind a savepoint, was measured too: no faster.
@dataclass
class Bisection:
    """Makes the next batch smaller."""

    keyset: Keyset
    size: BatchSize
    # The key of the row that is said to be at fault.
    reported_key: Any = field(default=None, init=False)

    def narrow(self, error: DatabaseError, tried: int) -> bool:
        """After so many rows failed; False when it was a single one."""
        said = None if tried == 1 else _reported_key(error, self.keyset.model)
        # Said again of fewer rows, or of one further on, it leads nowhere.
        misled = self.reported_key is not None and (said is None or not self._is_before(said))
        self.reported_key = None if misled else said
        return self.size.bisect(tried)

    def _is_before(self, said: Any) -> bool:
        """A list's order is PostgreSQL's, of text: nothing is known of it here."""
        return self.keyset.key_list is None and bool(said < self.reported_key)

    def bounds_before_reported_key(self, ahead: Callable[[], QuerySet[Any]]) -> BatchBounds | None:
        """Up to the row that is said to be at fault; None where it is none ahead, or the first."""
        if self.reported_key is None:
            return None
        up_to_it = self.keyset.filter_range(ahead(), None, str(self.reported_key)).order_by(
            self.keyset.order_key
        )
        up_to_it = up_to_it.reverse().values_list("pk", flat=True)
        last, *before = [*up_to_it[:2]] or [None]
        if last != self.reported_key:
            self.reported_key = None  # by the key of another table's row, or it was changed already
            return None
        if not before:
            self.record_success()
            return None
        return BatchBounds(max(2, self.size.bisecting_rows), str(before[0]), is_lane_end=False)

    def record_success(self) -> None:
        """What was tried is changed: where a row is said to be at fault, it is the next one."""
        if self.reported_key is not None:
            self.reported_key, self.size.bisecting_rows = None, 1


def _reported_key(error: DatabaseError, model: type[Model]) -> Any:
    """The key of the row that the error tells; None where it tells none."""
    meta = model._meta
    told = failing_row_first_value(error) if meta.concrete_fields[0] is meta.pk else None
    try:
        return None if told is None else meta.pk.to_python(told)
    except ValidationError:
        return None
