"""Which objects were changed last, by whom and since when, from a bounded part of the audit log."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Max, Q

from ops.models import AuditLog, Run
from ops.sql.audit_search import AuditSearch, get_indexed_rows, in_index_order
from ops.sql.keys import keys_as_array

# So many of the newest changes, and of the newest runs of a person, are looked at.
MAX_CHANGES, MAX_RUNS = 5_000, 20


@dataclass(frozen=True)
class LastChanges:
    """The keys of the objects that were found. If not ``is_complete``, older ones may be missing."""

    keys: list[str]
    is_complete: bool


def find_last_changed(object_type: str, person: str, since: datetime | None) -> LastChanges:
    """Find the objects whose newest change is by this person ("": anybody), and not before ``since``."""
    search = AuditSearch(performed_by=person, since=since)
    with in_index_order():
        rows = get_indexed_rows(search).values_list("object_type", "object_id", "pk", "created_at")
        found = list(rows[: MAX_CHANGES + 1])
    is_complete = len(found) <= MAX_CHANGES
    if person:
        of_runs, are_all_runs = _read_changes_of_runs(person, since)
        found, is_complete = found + of_runs, is_complete and are_all_runs
    newest: dict[str, int] = {}
    for label, key, pk, created_at in found:
        if label == object_type and (since is None or created_at >= since):
            newest[key] = max(pk, newest.get(key, pk))
    if person:
        last = _read_newest(object_type, newest)
        newest = {key: pk for key, pk in newest.items() if pk == last[key]}
    return LastChanges(list(newest), is_complete)


def _read_changes_of_runs(
    person: str, since: datetime | None
) -> tuple[list[tuple[str, str, int, datetime]], bool]:
    runs = Run.objects.filter(performed_by=person).order_by("-pk")
    if since is not None:
        runs = runs.filter(Q(finished_at=None) | Q(finished_at__gte=since))
    keys = list(runs.values_list("pk", flat=True)[: MAX_RUNS + 1])
    rows = AuditLog.objects.filter(run__in=keys[:MAX_RUNS])
    found = list(rows.values_list("object_type", "object_id", "pk", "created_at")[: MAX_CHANGES + 1])
    return found, len(keys) <= MAX_RUNS and len(found) <= MAX_CHANGES


def _read_newest(object_type: str, keys: Collection[str]) -> dict[str, int]:
    """Read the key of the newest change of each object."""
    array = keys_as_array(keys, AuditLog._meta.get_field("object_id"))
    rows = AuditLog.objects.filter(object_type=object_type, object_id__in=array)
    return dict(rows.order_by().values_list("object_id").annotate(newest=Max("pk")))
