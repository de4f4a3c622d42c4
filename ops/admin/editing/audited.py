"""Base class of admins that edit rows one by one and write each change to the audit log."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import NestedObjects, unquote
from django.contrib.postgres.fields import ArrayField
from django.db import models, router, transaction
from django.db.models import Field, Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from ops.admin.editing.meanwhile import ChangesMeanwhileAdmin
from ops.admin.editing.optimistic_locking import SNAPSHOT_FIELD, OptimisticLockingForm
from ops.admin.values.audited_objects import DELETE_ACTION
from ops.admin.values.fields import JSONField, JSONTextarea, ListField, ListTextarea, Textarea, TextField
from ops.admin.values.json_display import make_readable_field
from ops.admin.values.key_validation import KeySelect
from ops.sql.compile import auto_now_fields, row_ctid, row_version
from ops.sql.json_text import json_expression
from ops.sql.recorded import audit_changes

_LOSSLESS_FORM_FIELDS: dict[type[models.Field[Any, Any]], tuple[type[forms.Field], type[forms.Widget]]] = {
    models.JSONField: (JSONField, JSONTextarea),
    ArrayField: (ListField, ListTextarea),
    models.TextField: (TextField, Textarea),
}


class AuditedAdmin(ChangesMeanwhileAdmin):
    """Adds, changes and deletes rows, each in one transaction with its audit row.

    Only the fields that a person changed in the form are saved: see OptimisticLockingForm.
    """

    form = OptimisticLockingForm
    change_form_after_template = "ops/admin/opened.html"

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return [name for name in super().get_fields(request, obj) if name != SNAPSHOT_FIELD]

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Leave out the read-only fields on the add page; show JSON readably where nothing may be changed."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None:
            read_only = set(self.get_readonly_fields(request))
            return [
                (title, _replace_fields(options, [f for f in options["fields"] if f not in read_only]))
                for title, options in fieldsets
            ]
        if self.has_change_permission(request, obj):
            return fieldsets
        return [
            (title, _replace_fields(options, [make_readable_field(f, self.model) for f in options["fields"]]))
            for title, options in fieldsets
        ]

    def formfield_for_dbfield(self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        for field_class, (form_class, widget) in _LOSSLESS_FORM_FIELDS.items():
            if isinstance(db_field, field_class) and not db_field.choices:
                kwargs = {"form_class": form_class, "widget": widget, **kwargs}
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name in self.get_autocomplete_fields(request):
            kwargs.setdefault("widget", KeySelect(db_field, self.admin_site))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Model, form: forms.ModelForm[Any], change: bool) -> None:
        if change and not form.changed_data:
            return
        update_fields = (
            [*form.changed_data, *(field.name for field in auto_now_fields(type(obj)))] if change else None
        )
        with audit_changes(obj, "admin_change" if change else "admin_add", request.user.get_username()):
            for name in form.changed_data:
                if isinstance(field := form.fields[name], JSONField) and field.text is not None:
                    setattr(obj, name, json_expression(field.text))
            obj.save(update_fields=update_fields)
        self.after_write(request, [obj])

    def after_write(self, request: HttpRequest, saved: list[Model]) -> None:
        """Run in the transaction of each change. ``saved`` is empty after a deletion."""

    @transaction.atomic
    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Delete the row if it and its cascade are as the page showed them; otherwise show the page again."""
        row = self.get_object(request, unquote(object_id))
        if row is None:
            return super().delete_view(request, object_id, extra_context)  # type: ignore[no-any-return]
        if request.method == "POST":  # While the row is locked, no new row can refer to it.
            self.model._base_manager.select_for_update().filter(pk=row.pk).first()
        digest = self._compute_digest(row)
        if request.POST.get("seen", digest) != digest:
            messages.warning(
                request,
                "Nothing was deleted: the data changed after this page was opened. Check it and try again.",
            )
            return HttpResponseRedirect(request.get_full_path())
        context = {**(extra_context or {}), "seen": digest}
        return super().delete_view(request, object_id, context)  # type: ignore[no-any-return]

    def _compute_digest(self, row: Model) -> str:
        """Hash the current versions of the row and of every row that is deleted with it."""
        versions = []
        for model, rows in self._collect_cascade([row]).items():
            stored = model._base_manager.filter(pk__in=[each.pk for each in rows])
            versions += [
                (model._meta.label, *row)
                for row in stored.values_list("pk", *_get_version_expressions(model))
            ]
        return hashlib.sha256(repr(sorted(versions)).encode()).hexdigest()

    @transaction.atomic
    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        self._delete_rows(request, [obj])

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._delete_rows(request, list(queryset))

    def _delete_rows(self, request: HttpRequest, rows: list[Model]) -> None:
        """Delete the rows with their cascade; audit every deleted row whose admin is an AuditedAdmin."""
        with ExitStack() as stack:
            for row in self._iter_audited_deletions(rows):
                stack.enter_context(audit_changes(row, DELETE_ACTION, request.user.get_username()))
            for row in rows:
                row.delete()
        self.after_write(request, [])

    def _iter_audited_deletions(self, rows: list[Model]) -> Iterator[Model]:
        for model, deleted in self._collect_cascade(rows).items():
            if isinstance(self.admin_site._registry.get(model), AuditedAdmin):
                yield from deleted

    def _collect_cascade(self, rows: list[Model]) -> Mapping[type[Model], Collection[Model]]:
        collector = NestedObjects(using=router.db_for_write(self.model))
        collector.collect(rows)
        return collector.data


def _get_version_expressions(model: type[Model]) -> list[Any]:
    return [row_version(model), row_ctid(model)]


def _replace_fields(options: dict[str, Any], fields: list[Any]) -> dict[str, Any]:
    return {**options, "fields": fields}
