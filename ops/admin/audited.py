"""Rows edited one by one, each change audited in its own transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from django import forms
from django.contrib.admin.utils import NestedObjects
from django.db import router, transaction
from django.db.models import Field, Model, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from ops.admin.legible import shown
from ops.audit import recorded
from ops.sql.compile import touched


class AuditedAdmin(ModelAdmin):  # type: ignore[misc]
    """Adding, changing and deleting write their audit row, or do not happen.

    Only what a person changed in the form is saved: its other fields are as old as the page, and a run or a
    player may have changed them since.
    """

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        found = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return found
        return [
            (title, {**told, "fields": [shown(name, self.model) for name in told["fields"]]})
            for title, told in found
        ]

    def formfield_for_dbfield(self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None:
            field.show_hidden_initial = True
        return field

    def save_model(self, request: HttpRequest, obj: Model, form: forms.ModelForm[Any], change: bool) -> None:
        only = [*form.changed_data, *(field.name for field in touched(type(obj)))] if change else None
        if change and not form.changed_data:
            return
        with recorded(obj, "admin_change" if change else "admin_add", request.user.get_username()):
            obj.save(update_fields=only)
        self.after(request, [obj])

    def after(self, request: HttpRequest, saved: list[Model]) -> None:
        """In the transaction of a change: rows were saved; where there are none, deleted."""

    @transaction.atomic
    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        self._delete(request, [obj])

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._delete(request, list(queryset))

    def _delete(self, request: HttpRequest, rows: list[Model]) -> None:
        """Delete the rows and what falls with them, and audit all of it that is edited in this way."""
        with ExitStack() as stack:
            for row in self._doomed(rows):
                stack.enter_context(recorded(row, "admin_delete", request.user.get_username()))
            for row in rows:
                row.delete()
        self.after(request, [])

    def _doomed(self, rows: list[Model]) -> Iterator[Model]:
        found = NestedObjects(using=router.db_for_write(self.model))
        found.collect(rows)
        for model, doomed in found.data.items():
            if isinstance(self.admin_site._registry.get(model), AuditedAdmin):
                yield from doomed
