"""What an operation declares: which rows still need the change, and what to set in them.

The two-method shape is borrowed from Task in Shopify's maintenance_tasks; class attributes as defaults and
``get_x()`` for what is computed are those of Django's generic views.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.db.models import Model, QuerySet

from ops.models import Run


@dataclass(frozen=True)
class Check:
    """Something that must hold before a run may be called succeeded: no row matches the queryset."""

    label: str
    queryset: QuerySet[Any]


def is_failed_check(found: Mapping[str, Any]) -> bool:
    """Whether what a check found, as a run keeps it, is a fault: rows that came too late are none."""
    return bool(found["found"]) and not found.get("late")


class Operation:
    """A change of many rows of one model, declared; the engine does the rest.

    Set-based operations override ``get_changes``. Those that need Python for each row name the ``columns``
    that they write and override ``process``.

    It is built anew by every process that works on a run, and must be the same one each time: whoever needs
    the time reads ``self.as_of``, when the run was created, and never the clock. See docs/operations.md.
    """

    name: ClassVar[str]
    model: type[Model]
    Params: ClassVar[type[forms.Form]] = forms.Form
    # Valid parameters, by which the declaration is tried out when it is registered; None where it cannot be.
    example: ClassVar[Mapping[str, Any] | None] = {}
    # The field that the preview counts by, and the one by which it names a row.
    group_by: ClassVar[str | None] = None
    display_field: str = "pk"
    columns: Sequence[str] = ()
    # Columns on which what it writes depends: a run that changed one of them is followed by a run of this
    # operation, on the workers, if a row needs it.
    depends_on: Sequence[str] = ()
    # The KeyList that names the rows which can need the change, where one does; get_queryset() joins it.
    key_list: Any = None
    # Rows a second, guessed until a run has shown what this server does.
    estimated_rate: ClassVar[float] = 10_000.0
    # To be raised when process() changes its meaning, so that no run resumes under another one.
    version: ClassVar[int] = 1

    def __init__(self, params: Mapping[str, Any], as_of: datetime) -> None:
        """``params`` are cleaned values; whoever has raw ones calls ``declaration.build``."""
        self.params = params
        self.as_of = as_of

    @classmethod
    def title(cls) -> str:
        return cls.name.replace("_", " ").capitalize()

    @classmethod
    def summary(cls) -> str:
        return inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].replace("\n", " ")

    def get_queryset(self) -> QuerySet[Any]:
        """The rows that still need the change: it shrinks as the run advances."""
        raise NotImplementedError

    def get_changes(self) -> Mapping[str, Any]:
        """What to set: column to value or ORM expression over the row."""
        raise NotImplementedError

    def process(self, rows: Sequence[Any]) -> Mapping[Any, Mapping[str, Any] | Exception]:
        """For each row, by primary key, the values to set or the error that forbids them; None is SQL NULL.

        The rows are plain and unlocked, and no transaction is open. What this makes outside the database
        must be harmless when made twice: two processes may hold the same rows.
        """
        raise NotImplementedError

    def get_display_names(self, keys: Iterable[str]) -> dict[str, str]:
        """The labels of rows by their keys as text; a row that is gone goes by its key."""
        wanted = list(keys)
        rows = self.model._base_manager.filter(pk__in=wanted).values_list("pk", self.display_field)
        return {key: key for key in wanted} | {str(pk): str(label) for pk, label in rows}

    def check_preconditions(self) -> None:
        """Raise InvalidParams where what the rows hold forbids it: asked before a preview and a run."""

    def get_checks(self) -> Iterable[Check]:
        return ()

    def get_notes(self, run: Run | None) -> Iterable[str]:
        """What else to tell: with a preview, where there is no run yet, or at the end of the run."""
        return ()

    @classmethod
    def is_per_row(cls) -> bool:
        return cls.process is not Operation.process

    def get_columns(self) -> list[str]:
        """The names of the fields that the operation writes."""
        return list(self.columns) if self.columns or self.is_per_row() else list(self.get_changes())
