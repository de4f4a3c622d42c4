"""The engine's own operation: taking a run back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.apps import apps
from django.db.models import Exists, OuterRef, QuerySet

from ops import registry
from ops.exceptions import UnknownOperation
from ops.models import AuditLog, Run
from ops.operation import Operation
from ops.registry import register
from ops.sql.audited import before, changed, untouched
from ops.sql.compile import fields_named

_SHOWN_CONFLICTS = 5


class RevertParams(forms.Form):
    run = forms.IntegerField(help_text="The run to take back.")

    def clean_run(self) -> Run:
        number: int = self.cleaned_data["run"]
        run = Run.objects.filter(pk=number).first()
        if run is None:
            raise forms.ValidationError(f"there is no run {number}. To list the runs: manage.py runs")
        try:
            apps.get_model(run.model)
        except LookupError as exc:
            raise forms.ValidationError(
                f"run {number} changed {run.model}, which is no model any more."
            ) from exc
        return run


@register
class Revert(Operation):
    """Set back what a run changed, where it still stands as the run wrote it."""

    name = "revert"
    Params = RevertParams
    example = None  # Its model is that of the run to take back, so it is tried out when it is built.

    def __init__(self, params: Mapping[str, Any], as_of: datetime) -> None:
        super().__init__(params, as_of)
        self.run: Run = params["run"]
        self.model = apps.get_model(self.run.model)
        self.columns = self.run.columns
        self.fields = fields_named(self.model, self.run.columns)
        try:
            self.label = registry.get(self.run.operation).label
        except UnknownOperation:
            self.label = "pk"

    def get_queryset(self) -> QuerySet[Any]:
        rows = self.model._base_manager.filter(changed(self.run.pk, self.fields))
        return rows.filter(*(untouched(self.run.pk, field) for field in self.fields))

    def get_changes(self) -> Mapping[str, Any]:
        return {field.name: before(self.run.pk, field) for field in self.fields}

    def get_remarks(self, run: Run | None) -> Iterable[str]:
        """The conflicts: rows of the run that were changed since, and so the revert leaves alone."""
        audited = AuditLog.objects.filter(run=self.run)
        if run is None:
            return [] if not audited.exists() else self._foreseen(audited)
        left = audited.exclude(Exists(AuditLog.objects.filter(run=run, object_id=OuterRef("object_id"))))
        return self._told(
            left.count(), left.order_by("pk").values_list("object_id", flat=True)[:_SHOWN_CONFLICTS]
        )

    def _foreseen(self, audited: QuerySet[AuditLog]) -> list[str]:
        return self._told(audited.count() - self.get_queryset().count(), ())

    def _told(self, count: int, keys: Iterable[str]) -> list[str]:
        if not count:
            return []
        noun = self.model._meta.verbose_name if count == 1 else self.model._meta.verbose_name_plural
        sample = ", ".join(self.names_of(keys).values())
        such_as = f", such as {sample}" if sample else ""
        return [f"{count:,} {noun} changed since run {self.run.pk}, left alone{such_as}"]
