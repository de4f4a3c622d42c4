"""A model form with optimistic locking: it saves only the edited fields, and no lost updates."""

from __future__ import annotations

import copy
import json
from typing import Any

from django import forms
from django.core import signing
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F, JSONField, Model, QuerySet
from django.forms.models import model_to_dict
from django.utils.functional import cached_property
from django.utils.html import format_html

from ops.admin.values.fields import LosslessField, TextField, normalize_line_breaks
from ops.models import AuditLog
from ops.sql.json_text import read_pretty_columns

SNAPSHOT_FIELD = "opened"
# In the snapshot, beside the values: the newest audit row of the object.
_LAST_CHANGE = "last change"
# Fields whose one text in the form's data is their value.
_REFRESHED_FIELDS = (forms.CharField, forms.IntegerField, LosslessField)


class _SnapshotField(forms.Field):
    widget = forms.HiddenInput

    def has_changed(self, initial: Any, data: Any) -> bool:
        return False


class OptimisticLockingForm(forms.ModelForm):  # type: ignore[type-arg]
    """A signed hidden field holds a snapshot of the row's values from when the form was opened.

    Only fields that differ from the snapshot are validated and saved. If another user has changed such a
    field since, that is a conflict: the form shows both values once, and saving again overwrites.
    """

    opened = _SnapshotField(required=False)
    # The newest audit row of the object when the form was opened, once a conflict was found.
    conflict_since: int | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.is_adding:
            del self.fields[SNAPSHOT_FIELD]
        else:
            stored = self._read_stored_values(self.instance)
            self.initial = {**self.initial, **stored, SNAPSHOT_FIELD: self._sign_snapshot(stored)}

    @property
    def is_adding(self) -> bool:
        return bool(self.instance._state.adding)

    @cached_property
    def last_change(self) -> int:
        """The key of the newest audit row of the object; 0 if there is none."""
        rows = list_audit_rows(type(self.instance), self.instance.pk)
        return rows.values_list("pk", flat=True).first() or 0

    def read_changes_meanwhile(self) -> QuerySet[AuditLog]:
        """Return the audit rows since the form was opened, newest first; none without a conflict."""
        rows = list_audit_rows(type(self.instance), self.instance.pk).filter(pk__gt=self.conflict_since or 0)
        return rows.none() if self.conflict_since is None else rows

    @cached_property
    def base_values(self) -> dict[str, Any]:
        """The values of the snapshot; the row's current ones where the snapshot is missing or forged."""
        stored = {name: value for name, value in self.initial.items() if name != SNAPSHOT_FIELD}
        return _round_trip_json(stored) | self._read_snapshot()

    @cached_property
    def changed_data(self) -> list[str]:
        if self.is_adding:
            return [name for name in self.fields if self[name]._has_changed()]  # type: ignore[attr-defined]
        return [
            name
            for name in self.fields
            if name != SNAPSHOT_FIELD and self._is_different(name, self.base_values.get(name))
        ]

    def clean(self) -> dict[str, Any] | None:
        super().clean()
        if not self.is_adding:
            for name in self._get_unchanged_fields():
                self.cleaned_data.pop(name, None)
                self.errors.pop(name, None)
            self._restore_crlf()
            self._check_conflicts()
        return self.cleaned_data

    def _get_unchanged_fields(self) -> list[str]:
        return [name for name in self.fields if name not in (SNAPSHOT_FIELD, *self.changed_data)]

    def _get_validation_exclusions(self) -> set[str]:
        """Exclude unchanged fields that are invalid today: stored values may stay as they are."""
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        if not self.is_adding:
            excluded |= {name for name in self._get_unchanged_fields() if not self._is_valid(name)}
        return excluded

    def _is_valid(self, name: str) -> bool:
        try:
            field = self.instance._meta.get_field(name)
            field.clean(getattr(self.instance, field.attname), self.instance)
        except ValidationError:
            return False
        return True

    def _read_stored_values(self, row: Model) -> dict[str, Any]:
        names = [field.name for field in row._meta.fields if field.name in self.fields]
        json_names = [n for n in names if isinstance(row._meta.get_field(n), JSONField)]
        return model_to_dict(row, names) | read_pretty_columns(row, json_names)

    def _sign_snapshot(self, values: dict[str, Any]) -> str:
        values = {**values, _LAST_CHANGE: self.last_change}
        return signing.dumps(_round_trip_json(values), salt=self._get_signing_salt(), compress=True)

    def _read_snapshot(self) -> dict[str, Any]:
        try:
            snapshot: dict[str, Any] = signing.loads(
                self.data.get(self.add_prefix(SNAPSHOT_FIELD), ""), salt=self._get_signing_salt()
            )
        except signing.BadSignature:
            return {}
        return snapshot

    def _get_signing_salt(self) -> str:
        return f"{self.instance._meta.label} {self.instance.pk}"

    def _is_different(self, name: str, stored: Any) -> bool:
        """Whether the submitted value differs from the stored one."""
        bound = self[name]
        field, submitted = bound.field, bound.data
        if isinstance(field, LosslessField):
            return field.has_changed(stored, submitted)
        if isinstance(stored, str) and isinstance(submitted, str):
            texts = (normalize_line_breaks(text, field.widget) for text in (stored, submitted))
            return len(set(texts)) > 1 and field.to_python(submitted) != stored
        try:
            stored = field.to_python(stored)
        except ValidationError:
            return True
        return field.has_changed(stored, submitted)

    def _restore_crlf(self) -> None:
        """Restore CR LF line breaks in an edited text where all of its line breaks were CR LF before."""
        for name in self.changed_data:
            text, old_text = self.cleaned_data.get(name), self.base_values.get(name)
            if isinstance(self.fields[name], TextField) and text and _has_crlf_line_breaks(old_text or ""):
                self.cleaned_data[name] = text.replace("\n", "\r\n")

    def _check_conflicts(self) -> None:
        # The admin has a transaction open, so the lock lasts until the row is saved.
        with transaction.atomic():
            row = type(self.instance)._base_manager.select_for_update().filter(pk=self.instance.pk).first()
            current = None if row is None else _round_trip_json(self._read_stored_values(row))
        if current is None:
            raise ValidationError("This row was deleted while the form was open.")
        for name in self.changed_data:
            if current[name] != self.base_values.get(name) and self._is_different(name, current[name]):
                self.add_error(name, self._format_conflict(name, current[name]))
                self.conflict_since = self._read_snapshot().get(_LAST_CHANGE, 0)
            self.base_values[name] = current[name]
        if self.errors:
            self.data = self._build_shown_data(current)

    def _build_shown_data(self, current: dict[str, Any]) -> Any:
        """Return the data of the form that is shown again: its user now knows the current values.

        Fields that the user has not changed show what somebody else has saved in them meanwhile.
        """
        data: Any = copy.copy(self.data)
        for name in self._get_unchanged_fields():
            field, value = self.fields[name], current.get(name)
            if (
                name in current
                and value != self.base_values.get(name)
                and isinstance(field, _REFRESHED_FIELDS)
            ):
                shown = field.prepare_value(value)
                data[self.add_prefix(name)] = "" if shown is None else str(shown)
                self.base_values[name] = value
        data[self.add_prefix(SNAPSHOT_FIELD)] = self._sign_snapshot(self.base_values)
        return data

    def _format_conflict(self, name: str, current: Any) -> str:
        rows = list_audit_rows(type(self.instance), self.instance.pk)
        last = rows.filter(changes__has_key=name).first()
        theirs = self.fields[name].prepare_value(current)
        return format_html(
            'While this form was open, {} changed this value to<pre class="ops-json">{}</pre>'
            "Your input is still in the form. Save again to overwrite that value."
            '<button type="button" class="ops-button" data-take="{}" data-value="{}">'
            "Take that value</button>",
            last.performed_by if last else "somebody",
            theirs if current not in (None, "", []) else "nothing",
            self[name].id_for_label,
            "" if theirs is None else theirs,
        )


def list_audit_rows(model: type[Model], key: Any) -> QuerySet[AuditLog]:
    """Return the audit rows of an object, newest first."""
    rows = AuditLog.objects.filter(object_type=model._meta.label_lower, object_id=str(key))
    # An expression, since the planner might walk the whole log in the order of its keys.
    return rows.order_by((F("pk") + 0).desc())


def _has_crlf_line_breaks(text: str) -> bool:
    return "\r\n" in text and "\n" not in text.replace("\r\n", "")


def _round_trip_json(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values as they come back from the hidden field."""
    restored: dict[str, Any] = json.loads(json.dumps(values, default=str))
    return restored
