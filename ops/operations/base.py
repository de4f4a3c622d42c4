"""The base class of operations: which rows still need the change, and what to set in them.

The two methods follow Task in Shopify's maintenance_tasks; class attributes with a ``get_x()`` for computed
values follow Django's generic views.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.db.models import Model, QuerySet

from ops.formatting import summarize_docstring
from ops.models import Run


@dataclass(frozen=True)
class Check:
    """A condition for a run to succeed: no row may match the queryset."""

    label: str
    queryset: QuerySet[Any]


def is_failed_check(result: Mapping[str, Any]) -> bool:
    """Whether the check's result, as the run stores it, fails the run: rows that came too late do not."""
    return bool(result["found"]) and not result.get("late")


class Operation:
    """A change of many rows of one model.

    Set-based operations override ``get_changes``. Operations that compute each row in Python name their
    ``columns`` and override ``process``.

    Every process that works on a run builds the operation again, and must get the same one. So take the time
    from ``self.as_of``, when the run was created, and never from the clock. See docs/operations.md.
    """

    name: ClassVar[str]
    model: type[Model]
    Params: ClassVar[type[forms.Form]] = forms.Form
    # Valid parameters, to validate the operation when it is registered; None where that needs a row.
    example: ClassVar[Mapping[str, Any] | None] = {}
    # The preview groups its count by one field, and names rows by another.
    group_by: ClassVar[str | None] = None
    display_field: str = "pk"
    columns: Sequence[str] = ()
    # Columns on which the new values depend: after a run that changed one of them, the workers run this
    # operation, if a row needs it.
    depends_on: Sequence[str] = ()
    # A KeyList of all rows that can need the change, if there is one; get_queryset() joins it.
    key_list: Any = None
    # Rows a second, for the preview's estimate until a run of the operation has been measured.
    estimated_rate: ClassVar[float] = 10_000.0
    # Whether each cell of a row is judged by itself: its audit rows have the changed columns alone, and the
    # revert of its runs judges cell by cell, too.
    is_by_cell: bool = False
    # The ``metadata`` of its audit rows.
    audit_metadata: Mapping[str, Any] | None = None
    # Rows that ``prepare`` creates or deletes (a PreparedRows), which ``get_queryset`` leaves out.
    prepared_rows: Any = None
    # Raise it when process() computes other values: runs that began before it cannot be resumed then.
    version: ClassVar[int] = 1

    def __init__(self, params: Mapping[str, Any], as_of: datetime) -> None:
        """``params`` are cleaned values; to build an operation from raw ones, call ``build_operation``."""
        self.params = params
        self.as_of = as_of

    @classmethod
    def title(cls) -> str:
        return cls.name.replace("_", " ").capitalize()

    @classmethod
    def summary(cls) -> str:
        return summarize_docstring(cls)

    @classmethod
    def get_initial_params(cls, filters: Mapping[str, str]) -> Mapping[str, Any]:
        """Return the params with which a form begins that is reached from a list of the model.

        ``filters`` maps columns to the values by which the list is filtered.
        """
        return {name: filters[name] for name in cls.Params.base_fields if name in filters}

    def get_queryset(self) -> QuerySet[Any]:
        """Return the rows that still need the change. A row that was changed must no longer match."""
        raise NotImplementedError

    def get_changes(self) -> Mapping[str, Any]:
        """Return what to set: column to value, or to an ORM expression over the row."""
        raise NotImplementedError

    def process(self, rows: Sequence[Any]) -> Mapping[Any, Mapping[str, Any] | Exception]:
        """Return by primary key the values to set (None is SQL NULL), or an error that fails the row.

        The rows are not locked, and no transaction is open. Effects outside the database must be idempotent:
        two processes may get the same rows.
        """
        raise NotImplementedError

    def get_display_names(self, keys: Iterable[str]) -> dict[str, str]:
        """Return the display names of rows by their keys as text; of a deleted row, its key."""
        names = {key: key for key in keys}
        rows = self.model._base_manager.filter(pk__in=list(names)).values_list("pk", self.display_field)
        return names | {str(pk): str(name) for pk, name in rows}

    def check_preconditions(self) -> None:
        """Raise InvalidParams if the rows do not allow the run. Called before a preview and before a run."""

    def prepare(self, run: Run) -> Iterator[int]:
        """Prepare the run in steps, and yield how many rows each wrote; an OpsError fails the run.

        Called whenever a process takes the run up, before its first batch: several may call it at once. A run
        may be halted, held or stopped after each step, and is then prepared from the beginning again.
        """
        return iter(())

    def get_checks(self) -> Iterable[Check]:
        return ()

    def get_notes(self, run: Run | None) -> Iterable[str]:
        """Return notes to show: with a preview (``run`` is None), and at the end of a run."""
        return ()

    @classmethod
    def is_per_row(cls) -> bool:
        return cls.process is not Operation.process

    def get_columns(self) -> list[str]:
        """Return the names of the fields that the operation writes."""
        return list(self.columns) if self.columns or self.is_per_row() else list(self.get_changes())
