"""The filter of a list by who changed its rows last, and when: it asks the audit log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.contrib.admin.filters import ListFilter
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property

from ops.admin.lists.filters import list_hidden_fields
from ops.admin.values.key_validation import is_valid_key
from ops.sql.audit_search import list_persons
from ops.sql.keys import keys_as_array
from ops.sql.last_changes import MAX_CHANGES, LastChanges, find_last_changed

_PERSON, _SINCE = "changed_by", "changed_in"
_PERIODS = {
    "hour": ("the last hour", timedelta(hours=1)),
    "day": ("the last 24 hours", timedelta(days=1)),
    "week": ("the last 7 days", timedelta(days=7)),
    "month": ("the last 30 days", timedelta(days=30)),
}
_MAX_PERSONS = 50
_INCOMPLETE = f"Only the newest {MAX_CHANGES:,} changes were looked at, so older ones may be missing."


class LastChangeFilter(ListFilter):
    """Rows whose newest change in the audit log is by a person, or within a time, or both.

    What a statement in psql changed is not in the audit log.
    """

    title = "last change"
    template = "ops/admin/last_change_filter.html"
    periods = [(name, label) for name, (label, _) in _PERIODS.items()]

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.label = model._meta.label_lower
        self.person, self.period = (params.pop(name, [""])[-1] for name in (_PERSON, _SINCE))
        if self.period and self.period not in _PERIODS:
            raise IncorrectLookupParameters(f"{_SINCE}={self.period}")

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return [_PERSON, _SINCE]

    @property
    def persons(self) -> list[str]:
        return list_persons(_MAX_PERSONS)

    @cached_property
    def _found(self) -> LastChanges:
        since = timezone.now() - _PERIODS[self.period][1] if self.period else None
        return find_last_changed(self.label, self.person, since)

    @property
    def _is_used(self) -> bool:
        return bool(self.person or self.period)

    @property
    def note(self) -> str:
        return _INCOMPLETE if self._is_used and not self._found.is_complete else ""

    @property
    def scope_problem(self) -> str:
        """Why the rows of the list cannot be those of a run; "" if they can."""
        return f"{_INCOMPLETE} Choose a shorter time, or tick the rows." if self.note else ""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        if not self._is_used:
            return None
        pk = queryset.model._meta.pk
        keys = [key for key in self._found.keys if is_valid_key(key, pk)]
        return queryset.filter(pk__in=keys_as_array(keys, pk))

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        query = changelist.get_query_string(remove=[_PERSON, _SINCE])
        hidden = list_hidden_fields(changelist, _PERSON, _SINCE)
        yield {"selected": not self._is_used, "query_string": query, "display": "All", "hidden": hidden}
        if self._is_used:
            parts = [self.person and f"by {self.person}", self.period and f"in {_PERIODS[self.period][0]}"]
            yield {"selected": True, "query_string": "", "display": " ".join(filter(None, parts))}
