"""Audit rows as a person reads them: who changed which values of what, when, and how."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ops.admin.live.run_words import link_run
from ops.admin.values.audited_objects import DELETE_ACTION, AuditedModel, AuditedObject
from ops.admin.values.json_display import parse_json_exactly
from ops.admin.values.value_diff import ABSENT, format_change, format_value, is_empty
from ops.change_sets.undo import list_undoable
from ops.formatting import format_time, format_time_in_words, truncate
from ops.models import AuditLog, Run
from ops.operations.revert import Revert, find_reverts, get_reverted_run

_HAND_ACTIONS = {"admin_add", "admin_change", DELETE_ACTION}
# With more fields, those of a new or of a deleted row are folded.
_MAX_OPEN_FIELDS = 4
_STATUS_CLASSES = {"created": "good", "deleted": "bad", "reverted": "warn", "changed": "busy"}


@dataclass(frozen=True)
class FieldChange:
    """A field's label and its old and new value, as HTML; its column, if the change can be undone."""

    label: str
    value: SafeString
    undoable_column: str = ""


@dataclass(frozen=True)
class AuditEntry:
    """An audit row as HTML. ``origin`` is a run, a load, or a person's hand; ``marks`` the later reverts.

    ``is_secret``: the reader may not see the values, so that ``fields`` is empty.
    """

    key: int
    url: str
    done: str
    status_class: str
    performed_by: str
    time: str
    exact_time: str
    origin: SafeString
    marks: Sequence[SafeString]
    fields: Sequence[FieldChange]
    is_folded: bool
    object: AuditedObject
    is_secret: bool

    @property
    def undoable(self) -> int:
        """How many of the fields can be undone."""
        return sum(bool(field.undoable_column) for field in self.fields)


class AuditEntries:
    """The entries of some audit rows, which ``read_json_as_text`` has read; a few queries for all of them.

    ``may_undo``: the page has buttons that undo a change.
    """

    def __init__(self, request: HttpRequest, rows: Sequence[Any], *, may_undo: bool = False) -> None:
        self.request, self.rows, self.may_undo = request, rows, may_undo
        self.now = timezone.localtime()
        self.models = {row.object_type: AuditedModel(request, row.object_type) for row in rows}
        self.runs = Run.objects.in_bulk({row.run_id for row in rows if row.run_id is not None})
        self.may_view_runs = admin.site.get_model_admin(Run).has_view_permission(request)
        self.may_view_log = admin.site.get_model_admin(AuditLog).has_view_permission(request)

    def build(self) -> list[AuditEntry]:
        return [self._build_entry(row) for row in self.rows]

    @cached_property
    def _objects(self) -> dict[tuple[str, str], AuditedObject]:
        keys = defaultdict(set)
        for row in self.rows:
            keys[row.object_type].add(row.object_id)
        return {
            (label, key): audited
            for label, of_label in keys.items()
            for key, audited in self.models[label].describe_objects(of_label).items()
        }

    @cached_property
    def _reverts(self) -> dict[tuple[int | None, str], list[int]]:
        """The later runs that reverted a run, by run and object."""
        reverts = find_reverts(*self.runs) if self.runs else []
        reverted = {revert.pk: get_reverted_run(revert) for revert in reverts}
        rows = AuditLog.objects.filter(run__in=reverted, object_id__in={row.object_id for row in self.rows})
        found = defaultdict(list)
        for run_id, object_id in rows.values_list("run", "object_id") if reverted else ():
            found[reverted[run_id], object_id].append(run_id)
        return found

    def _build_entry(self, row: Any) -> AuditEntry:
        model, changes = self.models[row.object_type], parse_changes(row.changes_)
        kind = self._detect_kind(row, changes, model)
        is_secret = not model.may_read_values
        fields = (
            [] if is_secret else list(_iter_fields(model, changes, kind, self._list_undoable(model, changes)))
        )
        time = timezone.localtime(row.created_at)
        return AuditEntry(
            key=row.pk,
            url=reverse("admin:ops_auditlog_change", args=[row.pk]) if self.may_view_log else "",
            done=kind.capitalize(),
            status_class=_STATUS_CLASSES[kind],
            performed_by=row.performed_by,
            time=format_time_in_words(time, self.now),
            exact_time=format_time(row.created_at),
            origin=self._format_origin(row),
            marks=[
                format_html("Reverted by {}", self._format_run(run))
                for run in self._reverts.get((row.run_id, row.object_id), ())
            ],
            fields=fields,
            is_folded=kind in ("created", "deleted") and len(fields) > _MAX_OPEN_FIELDS,
            object=self._objects[row.object_type, row.object_id],
            is_secret=is_secret,
        )

    def _list_undoable(self, model: AuditedModel, changes: Mapping[str, Any]) -> set[str]:
        if not self.may_undo or model.model is None:
            return set()
        return {str(field.column) for field in list_undoable(model.model, changes)}

    def _detect_kind(self, row: Any, changes: Mapping[str, Any], model: AuditedModel) -> str:
        """Return ``created``, ``deleted``, ``reverted`` or ``changed``. A run names keys of the first two."""
        if row.run_id is not None and not model.names_key(changes):
            return "reverted" if self._is_revert(row.run_id) else "changed"
        for column, change in changes.items():
            if _is_old_and_new(change) and model.is_required(column):
                if "old" in change and change["old"] is None:
                    return "created"
                if "new" in change and change["new"] is None:
                    return "deleted"
        return "changed"

    def _is_revert(self, number: int) -> bool:
        return number in self.runs and self.runs[number].operation == Revert.name

    def _format_origin(self, row: Any) -> SafeString:
        if row.action in _HAND_ACTIONS and row.run_id is None:
            return format_html("{}", "by hand")
        action = row.action.replace("_", " ")
        if row.run_id is None:
            file = parse_file_name(row.metadata_)
            return format_html("{} of {}", action, file) if file else format_html("{}", action)
        if self._is_revert(row.run_id):
            reverted = self._format_run(get_reverted_run(self.runs[row.run_id]))
            return format_html("{}, which reverts {}", self._format_run(row.run_id), reverted)
        if has_overwritten(row.metadata_):
            action = f"{action}, overwriting newer values"
        return format_html("{} ({})", self._format_run(row.run_id), action)

    def _format_run(self, number: int | None) -> SafeString:
        return link_run(number) if self.may_view_runs and number else format_html("run {}", number)


def parse_changes(text: str) -> dict[str, Any]:
    """Parse ``changes`` into columns and their changes. Imported rows may hold JSON of any shape."""
    try:
        changes = parse_json_exactly(text)
    except RecursionError:  # nested too deeply
        changes = text
    return changes if isinstance(changes, dict) else {"": changes}


def has_overwritten(metadata: str | None) -> bool:
    """Whether a change set was to write also what had changed since it was seen."""
    return _parse_metadata(metadata).get("overwrite") is True


def _parse_metadata(metadata: str | None) -> dict[str, Any]:
    try:
        parsed = parse_json_exactly(metadata) if metadata else None
    except RecursionError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def parse_file_name(metadata: str | None) -> str:
    """Return the name of the file that a load has written into ``metadata``."""
    file = _parse_metadata(metadata).get("file")
    return truncate(file, 80) if isinstance(file, str) else ""


def _is_old_and_new(change: Any) -> bool:
    return isinstance(change, dict) and change.keys() <= {"old", "new"}


def _iter_fields(
    model: AuditedModel, changes: Mapping[str, Any], kind: str, undoable: Collection[str]
) -> Iterable[FieldChange]:
    """Yield what changed; of a new or a deleted row, the values that are not empty."""
    for column in model.sort_columns(changes):
        change = changes[column]
        label, badge = model.get_label(column), model.badges.get(column)
        if not _is_old_and_new(change):
            yield FieldChange(label, format_value(change))
        elif kind in ("changed", "reverted"):
            value = format_change(change.get("old", ABSENT), change.get("new", ABSENT), badge)
            yield FieldChange(label, value, column if column in undoable else "")
        elif not is_empty(value := change.get("new" if kind == "created" else "old", ABSENT)):
            yield FieldChange(label, format_value(value, badge))
