"""What audit rows are about: objects with their names, which may be secret, or which no longer exist."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.exceptions import NotRegistered
from django.contrib.admin.utils import quote
from django.contrib.auth import get_permission_codename
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.text import capfirst

from ops.admin.values.key_validation import is_valid_key
from ops.admin.values.value_diff import Badge
from ops.formatting import escape_control_chars, truncate
from ops.models import AuditLog
from ops.sql.compile import is_json

# Of the audit row that ``AuditedAdmin`` writes for a deleted row.
DELETE_ACTION = "admin_delete"


@dataclass(frozen=True)
class AuditedObject:
    """What an audit row is about. URLs are "" where its reader may not go, or where there is nothing."""

    kind: str
    name: str
    url: str = ""
    history_url: str = ""
    note: str = ""


class AuditedModel:
    """How the rows of one model are shown; a model that has no admin, or no longer exists, by its label."""

    def __init__(self, request: HttpRequest, label: str) -> None:
        self.request, self.label = request, label
        self.model: type[Model] | None = None
        self.admin: Any = None
        # LookupError and ValueError: an imported row may have any label.
        with suppress(LookupError, ValueError, NotRegistered):
            self.model = apps.get_model(label)
            self.admin = admin.site.get_model_admin(self.model)
        self.may_view = bool(self.admin and self.admin.has_view_permission(request))

    @property
    def may_read_values(self) -> bool:
        """Whether the user may see old and new values: of a model that exists, who may view its rows."""
        if self.model is None or self.may_view:
            return True
        name = get_permission_codename("view", self.model._meta)
        return self.request.user.has_perm(f"{self.model._meta.app_label}.{name}")

    @cached_property
    def badges(self) -> Mapping[str, Badge]:
        return self.admin.get_history_badges() if hasattr(self.admin, "get_history_badges") else {}

    @cached_property
    def _fields(self) -> Mapping[str, Any]:
        return {str(field.column): field for field in self.model._meta.concrete_fields} if self.model else {}

    def get_label(self, column: str) -> str:
        field = self._fields.get(column)
        return str(capfirst(field.verbose_name)) if field else escape_control_chars(column)

    def sort_columns(self, columns: Iterable[str]) -> list[str]:
        """Sort as in the model, since JSON has its keys in another order; unknown ones come last."""
        positions = {column: position for position, column in enumerate(self._fields)}
        return sorted(columns, key=lambda column: positions.get(column, len(positions)))

    def names_key(self, columns: Container[str]) -> bool:
        """Whether the key is one of the columns, as where a run creates or deletes the row."""
        return self.model is not None and self.model._meta.pk.column in columns

    def is_required(self, column: str) -> bool:
        """Whether the column cannot be NULL, so that an audited ``null`` is a row that does not exist."""
        field = self._fields.get(column)
        return field is not None and not field.null and not is_json(field)

    def describe_objects(self, keys: Iterable[str]) -> dict[str, AuditedObject]:
        """Describe the objects with these keys; where names are secret or unknown, by the key."""
        keys = set(keys)
        kind = str(self.model._meta.verbose_name) if self.model else self.label
        if not self.may_view:
            return {key: AuditedObject(kind, key) for key in keys}
        rows = self._read_rows(keys)
        deleted_names = self._read_deleted_names(keys - rows.keys())
        return {
            key: self._describe(kind, key, rows[key])
            if key in rows
            else self._describe_deleted(kind, key, deleted_names.get(key, key))
            for key in keys
        }

    def _describe(self, kind: str, key: str, row: Model) -> AuditedObject:
        if not self.admin.has_view_permission(self.request, row):
            return AuditedObject(kind, key)
        return AuditedObject(kind, _shorten(str(row)), self._reverse("change", key), self._history_url(key))

    def _describe_deleted(self, kind: str, key: str, name: str) -> AuditedObject:
        url = self._history_url(key)
        return AuditedObject(kind, name, history_url=url, note="no longer exists")

    def _history_url(self, key: str) -> str:
        return self._reverse("history", key) if hasattr(self.admin, "get_history_badges") else ""

    def _read_deleted_names(self, keys: set[str]) -> dict[str, str]:
        """Name deleted objects by the values that they had."""
        deletions = AuditLog.objects.filter(
            object_type=self.label, object_id__in=keys, action=DELETE_ACTION
        ).values_list("object_id", "changes")
        names = {key: self._name_deleted(changes) for key, changes in deletions if isinstance(changes, dict)}
        return {key: name for key, name in names.items() if name}

    def _name_deleted(self, changes: Mapping[str, Any]) -> str:
        """Return the name; "" if the values, which may be imported, give none."""
        values = {
            self._fields[column].attname: change["old"]
            for column, change in changes.items()
            if column in self._fields and isinstance(change, dict) and "old" in change
        }
        try:
            return _shorten(str(self.admin.model(**values)))
        except (ObjectDoesNotExist, TypeError):
            return ""

    def _read_rows(self, keys: Iterable[str]) -> dict[str, Model]:
        valid = [key for key in keys if is_valid_key(key, self.admin.opts.pk)]
        return {str(row.pk): row for row in self.admin.get_queryset(self.request).filter(pk__in=valid)}

    def _reverse(self, page: str, key: str) -> str:
        meta = self.admin.opts
        return reverse(f"admin:{meta.app_label}_{meta.model_name}_{page}", args=[quote(key)])


def _shorten(name: str) -> str:
    return truncate(escape_control_chars(name), 80)


def list_secret_types(request: HttpRequest) -> list[str]:
    """List the labels of the models whose values the user may not see."""
    labels = (model._meta.label_lower for model in apps.get_models())
    return [label for label in labels if not AuditedModel(request, label).may_read_values]
