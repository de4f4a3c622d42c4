"""The engine's own operation: taking a run back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NoReturn

from django import forms
from django.apps import apps
from django.core.exceptions import NON_FIELD_ERRORS, FieldDoesNotExist
from django.db import DatabaseError, transaction
from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.lookups import IsNull

from ops.command_lines import manage_command
from ops.exceptions import InvalidParams, OpsError
from ops.formatting import first_line
from ops.models import AuditLog, Run
from ops.operations import registry
from ops.operations.base import Operation
from ops.operations.registry import register
from ops.sql.audited import (
    changed_audit_rows,
    is_unchanged_since_run,
    lacks_audited_column,
    old_value,
    validate_audited_values,
)
from ops.sql.compile import get_model_fields, is_json
from ops.sql.keylist import KeyList
from ops.sql.types import find_changed_types, read_column_types
from ops.sqlstates import sqlstate
from ops.states import State

_CONFLICT_SAMPLE_SIZE = 5
# Data exceptions, a domain that forbids the value, and what an extension's type calls a syntax error.
_CAST_ERROR_CLASSES = ("22", "23", "42", "XX")
_FINISHED_STATES = (State.SUCCEEDED, State.FINISHED_WITH_FAILURES)


class RevertParams(forms.Form):
    run = forms.IntegerField(help_text="The run to take back.")

    def clean_run(self) -> Run:
        number: int = self.cleaned_data["run"]
        run = Run.objects.filter(pk=number).first()
        if run is None:
            raise forms.ValidationError(
                f"there is no run {number}. To list the runs: {manage_command('runs')}"
            )
        try:
            get_model_fields(apps.get_model(run.model), run.columns)
        except LookupError as exc:
            raise forms.ValidationError(
                f"run {number} changed {run.model}, which is no model any more."
            ) from exc
        except FieldDoesNotExist as exc:
            raise forms.ValidationError(f"run {number} cannot be taken back: {exc}.") from exc
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
        self.fields = get_model_fields(self.model, self.run.columns)
        self.key_list: KeyList = KeyList(AuditLog, self.run.pk)
        now = read_column_types(self.model, self.fields)
        self.changed_types = find_changed_types(self.run.types, now)
        self.kinds = {column: kind for column, kind in now.items() if column not in self.changed_types}
        try:
            self.display_field = registry.get_operation(self.run.operation).display_field
        except OpsError:
            self.display_field = "pk"

    def get_queryset(self) -> QuerySet[Any]:
        rows = self.key_list.join(self.model._base_manager.all())
        return rows.filter(is_unchanged_since_run(self.key_list, self.fields, self.kinds))

    def get_changes(self) -> Mapping[str, Any]:
        return {field.name: old_value(self.key_list, field, self.kinds) for field in self.fields}

    def check_preconditions(self) -> None:
        """Refuse a run whose columns have other names or types now, to which its values do not fit."""
        fields = [field for field in self.fields if field.column in self.changed_types]
        for field in fields:
            then, now = self.changed_types[str(field.column)]
            if lacks_audited_column(self.run.pk, field):
                self._refuse(f"it wrote no column {field.column!r}, which is what it is called now")
            if then and is_json(field) != then.startswith("json"):
                self._refuse(f"{field.column} was {then} and is {now} now, where null is another thing")
        try:
            with transaction.atomic():
                validate_audited_values(self.run.pk, fields)
        except DatabaseError as exc:
            if sqlstate(exc)[:2] not in _CAST_ERROR_CLASSES:
                raise
            reason = first_line(exc) + self._told_types()
            self._refuse(f"a value does not fit its column any more: {reason}")

    def _refuse(self, why: str) -> NoReturn:
        raise InvalidParams({NON_FIELD_ERRORS: [f"run {self.run.pk} cannot be taken back: {why}."]})

    def get_notes(self, run: Run | None) -> Iterable[str]:
        """The conflicts: rows of the run that were changed since, and so the revert leaves alone."""
        if conflicts := self._count_conflicts(run):
            meta = self.model._meta
            noun = meta.verbose_name if conflicts == 1 else meta.verbose_name_plural
            such_as = ", ".join(self.get_display_names(self._conflicts(run)).values())
            sample = f", such as {such_as}" if such_as else ""
            told = f"{conflicts:,} {noun} changed since run {self.run.pk}, left alone{sample}"
            yield told + self._told_types()

    def _told_types(self) -> str:
        """By what else than a change of its own a row may differ from what was audited."""
        told = [
            f"{column} was {then} and is {now} now"
            for column, (then, now) in self.changed_types.items()
            if then not in ("", now)
        ]
        return f" ({', '.join(told)})" if told else ""

    def _count_conflicts(self, run: Run | None) -> int:
        audited = changed_audit_rows(self.run.pk, self.fields).count()
        if run is None:
            return audited - self.get_queryset().count()
        # What a run under way, or one of some rows only, has left is no conflict.
        if run.state not in _FINISHED_STATES or run.scope.get("filter") or run.scope.get("keys"):
            return 0
        return audited - AuditLog.objects.filter(run=run).count() - run.failures.count()

    def _conflicts(self, run: Run | None) -> list[str]:
        """The keys of some conflicts: see Note [Scalar subqueries over audit rows]."""
        if run is None:
            return []
        reverted = AuditLog.objects.filter(run=run, object_id=OuterRef("object_id")).values("run")
        left = changed_audit_rows(self.run.pk, self.fields).filter(IsNull(Subquery(reverted[:1]), True))
        return list(left.order_by("pk").values_list("object_id", flat=True)[:_CONFLICT_SAMPLE_SIZE])
