"""Find the row at fault in a batch that failed on its data."""

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


# Note [The row that the server reports]
# A batch that failed on its data is tried again smaller and smaller until the row at fault is found: a dozen
# batches, each with its beginning and its COMMIT. But where a CHECK or a NOT NULL is violated, PostgreSQL
# reports the row. Then the rows before it are tried first, and then that row alone. The report is only a
# hint: a row is recorded as failed when it has failed alone, and for no other reason.
#
# To let the smaller batches share one transaction, each behind a savepoint, was measured too: no faster.
@dataclass
class Bisection:
    """Make the next batch smaller: see Note [The row that the server reports]."""

    keyset: Keyset
    size: BatchSize
    reported_key: Any = field(default=None, init=False)

    def narrow(self, error: DatabaseError, rows: int) -> bool:
        """Bisect after a batch of so many rows failed; return False if it was a single one."""
        key = None if rows == 1 else _reported_key(error, self.keyset.model)
        # Reported again of fewer rows, or one further on, it leads nowhere.
        is_useless = self.reported_key is not None and (key is None or not self._is_before(key))
        self.reported_key = None if is_useless else key
        return self.size.bisect(rows)

    def _is_before(self, key: Any) -> bool:
        """Whether the key comes before the reported one; False with a list, ordered by PostgreSQL as text."""
        return self.keyset.key_list is None and bool(key < self.reported_key)

    def bounds_before_reported_key(self, remaining: Callable[[], QuerySet[Any]]) -> BatchBounds | None:
        """Return bounds that end before the reported row; None if no row is reported, or it comes first."""
        if self.reported_key is None:
            return None
        rows = self.keyset.filter_range(remaining(), None, str(self.reported_key))
        keys = rows.order_by(self.keyset.order_key).reverse().values_list("pk", flat=True)
        last, *before = [*keys[:2]] or [None]
        if last != self.reported_key:
            self.reported_key = None  # The key of another table's row, or it was changed already.
            return None
        if not before:
            self.record_success()
            return None
        return BatchBounds(max(2, self.size.bisecting_rows), str(before[0]), is_lane_end=False)

    def record_success(self) -> None:
        """After a batch was committed: the reported row, if any, is the next batch."""
        if self.reported_key is not None:
            self.reported_key, self.size.bisecting_rows = None, 1


def _reported_key(error: DatabaseError, model: type[Model]) -> Any:
    """The key of the row that the error reports; None if it reports none."""
    meta = model._meta
    text = failing_row_first_value(error) if meta.concrete_fields[0] is meta.pk else None
    try:
        return None if text is None else meta.pk.to_python(text)
    except ValidationError:
        return None
