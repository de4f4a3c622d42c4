"""The form of a row that others change too: it saves what a person changed, over nobody else's change."""

from __future__ import annotations

import copy
import json
from typing import Any

from django import forms
from django.core import signing
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import JSONField, Model
from django.forms.models import model_to_dict
from django.utils.functional import cached_property
from django.utils.html import format_html

from ops.admin.fields import LosslessField, TextField, normalize_line_breaks
from ops.models import AuditLog
from ops.sql.json_text import read_pretty_columns

SNAPSHOT_FIELD = "opened"


class _SnapshotField(forms.Field):
    widget = forms.HiddenInput

    def has_changed(self, initial: Any, data: Any) -> bool:
        return False


class OptimisticLockingForm(forms.ModelForm):  # type: ignore[type-arg]
    """A hidden field holds the row's values as they were when the form was opened.

    Only what differs from them was changed by a person; the rest is neither checked nor saved. What somebody
    else has changed since is a conflict, told once, with both values.
    """

    opened = _SnapshotField(required=False)

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
    def base_values(self) -> dict[str, Any]:
        """The values that the form was opened with; those of the row where it does not tell."""
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
        """What was not changed may stand as it is, even where it would be refused today."""
        found: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        if not self.is_adding:
            found |= {name for name in self._get_unchanged_fields() if not self._is_valid(name)}
        return found

    def _is_valid(self, name: str) -> bool:
        try:
            field = self.instance._meta.get_field(name)
            field.clean(getattr(self.instance, field.attname), self.instance)
        except ValidationError:
            return False
        return True

    def _read_stored_values(self, row: Model) -> dict[str, Any]:
        names = [field.name for field in row._meta.fields if field.name in self.fields]
        kept_as_json = [n for n in names if isinstance(row._meta.get_field(n), JSONField)]
        return model_to_dict(row, names) | read_pretty_columns(row, kept_as_json)

    def _sign_snapshot(self, values: dict[str, Any]) -> str:
        return signing.dumps(_round_trip_json(values), salt=self._get_signing_salt(), compress=True)

    def _read_snapshot(self) -> dict[str, Any]:
        try:
            told: dict[str, Any] = signing.loads(
                self.data.get(self.add_prefix(SNAPSHOT_FIELD), ""), salt=self._get_signing_salt()
            )
        except signing.BadSignature:
            return {}
        return told

    def _get_signing_salt(self) -> str:
        return f"{self.instance._meta.label} {self.instance.pk}"

    def _is_different(self, name: str, stored: Any) -> bool:
        """Whether what was sent is another value than this one."""
        bound = self[name]
        field, sent = bound.field, bound.data
        if isinstance(field, LosslessField):
            return field.has_changed(stored, sent)
        if isinstance(stored, str) and isinstance(sent, str):
            same = normalize_line_breaks(stored, field.widget) == normalize_line_breaks(sent, field.widget)
            return not same and field.to_python(sent) != stored
        try:
            stored = field.to_python(stored)
        except ValidationError:
            return True
        return field.has_changed(stored, sent)

    def _restore_crlf(self) -> None:
        """Of a text whose every line ended in the way of Windows, in that way."""
        for name in self.changed_data:
            text, before = self.cleaned_data.get(name), self.base_values.get(name)
            if isinstance(self.fields[name], TextField) and text and _has_crlf_line_breaks(before or ""):
                self.cleaned_data[name] = text.replace("\n", "\r\n")

    def _check_conflicts(self) -> None:
        with (
            transaction.atomic()
        ):  # The lock is held until the row is saved: in the admin, a transaction is open.
            row = type(self.instance)._base_manager.select_for_update().filter(pk=self.instance.pk).first()
            now = None if row is None else _round_trip_json(self._read_stored_values(row))
        if now is None:
            raise ValidationError("It was deleted while this form was open.")
        for name in self.changed_data:
            if now[name] != self.base_values.get(name) and self._is_different(name, now[name]):
                self.add_error(name, self._format_conflict(name, now[name]))
            self.base_values[name] = now[name]
        if self.errors:  # Shown again, the form is one that was opened now, as far as its person knows.
            sent = copy.copy(self.data)
            sent[self.add_prefix(SNAPSHOT_FIELD)] = self._sign_snapshot(self.base_values)  # type: ignore[index]
            self.data = sent

    def _format_conflict(self, name: str, now: Any) -> str:
        meta, key = self.instance._meta, str(self.instance.pk)
        by = AuditLog.objects.filter(object_id=key, object_type=meta.label_lower, changes__has_key=name)
        last = by.order_by("-pk").first()
        return format_html(
            'While this form was open, {} changed this to<pre class="ops-json">{}</pre>'
            "What you entered is kept here. Save again to put it in its place.",
            last.performed_by if last else "somebody",
            self.fields[name].prepare_value(now) if now not in (None, "", []) else "nothing",
        )


def _has_crlf_line_breaks(text: str) -> bool:
    return "\r\n" in text and "\n" not in text.replace("\r\n", "")


def _round_trip_json(values: dict[str, Any]) -> dict[str, Any]:
    """As they come out of the hidden field."""
    told: dict[str, Any] = json.loads(json.dumps(values, default=str))
    return told
