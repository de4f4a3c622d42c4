"""The audit rows of what a person does to single rows, outside of any run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db.models import Model

from ops.db import same_images
from ops.sql.recorded import hold, stored, write_audit


@contextmanager
def recorded(row: Model, action: str, performed_by: str) -> Iterator[None]:
    """Audit what the block does to the row, be it to create, change or delete it, in one transaction.

    The old values are those of the locked row, the new ones those that the database then holds: what a
    trigger does besides is in them. A row that is as it was gets no audit row.
    """
    with same_images():
        key = row.pk
        old = None if key is None else hold(row)
        yield
        if key is None:
            key = row.pk
        new = None if row.pk is None else stored(row)
        write_audit(type(row), str(key), (action, performed_by), old, new)
