"""Pages of the audit log that are read in bounded time, whatever is searched for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import F, Func, Max, Min, Q, QuerySet, TextField, Value
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast
from django.db.models.lookups import (
    GreaterThan,
    GreaterThanOrEqual,
    IContains,
    LessThan,
    LessThanOrEqual,
)

from ops.models import AuditLog
from ops.sql.query import fetch_all

PAGE_SIZE = 50
SCANNED_ROWS = 50_000
MAX_BIGINT = 2**63 - 1
# A row has the time at which its transaction began, so the times are not quite in the order of the keys.
_LONGEST_TRANSACTION = timedelta(minutes=1)


_PLANNER_SQL = """
SELECT set_config('enable_bitmapscan', %s, true), set_config('enable_seqscan', %s, true),
    set_config('enable_sort', %s, true)
"""
_PERSONS_SQL = """
WITH RECURSIVE person (name) AS (
    SELECT min(performed_by) FROM {table} WHERE run_id IS NULL
    UNION ALL
    SELECT (SELECT min(performed_by) FROM {table} WHERE run_id IS NULL AND performed_by > person.name)
    FROM person WHERE name IS NOT NULL)
SELECT name FROM person WHERE name IS NOT NULL LIMIT %s
"""


class Row(Func):
    """``ROW(a, b)``: compared by the first of its values that differ, as an index of several columns is."""

    template = "ROW(%(expressions)s)"
    output_field = TextField()


class ChangedValues(Func):
    """The old and new values of an audit row as text, without the names of the columns."""

    template = "jsonb_path_query_array(%(expressions)s, '$.*.*')::text"
    output_field = TextField()


@dataclass(frozen=True)
class AuditSearch:
    """What is searched for. ``objects`` are pairs of a model's label and a key; None: any object.

    A person alone finds the rows without a run: each run of the person has pages of its own. Rows about
    ``secret_types`` are left out.
    """

    objects: Sequence[tuple[str, str]] | None = None
    run_id: int | None = None
    performed_by: str = ""
    object_type: str = ""
    column: str = ""
    value: str = ""
    since: datetime | None = None
    until: datetime | None = None
    secret_types: Sequence[str] = ()

    @property
    def is_of_run(self) -> bool:
        return self.run_id is not None and self.objects is None

    @property
    def is_of_person(self) -> bool:
        return bool(self.performed_by) and self.run_id is None and self.objects is None


@dataclass(frozen=True)
class AuditPage:
    """``cursor`` is where the next page begins; "" after the last one.

    ``reached`` is the time of the last row that was looked at, if the page is neither full nor the last.
    """

    rows: list[Any] = field(default_factory=list)
    cursor: str = ""
    reached: datetime | None = None


# Note [What a page of the audit log costs]
# The log has many millions of rows and few indexes, since each batch pays for every index. So a page is read
# in the order of one index: of the run and object, of the person, or of the key. Whatever else is searched is
# looked for in the next SCANNED_ROWS rows only. If they do not fill the page, it says how far it has looked,
# and the next page continues there. The rows of an object are few; they are sorted.
def read_page(search: AuditSearch, cursor: str = "", size: int = PAGE_SIZE) -> AuditPage:
    """Read the rows after the cursor, newest first; those of a run in the order of their objects' keys.

    Raises ValueError for an invalid cursor.
    """
    rows, conditions, last = get_indexed_rows(search), _list_conditions(search), None
    name, key = "object_id" if search.is_of_run else "pk", _get_sort_key(search)
    if cursor:
        after: Any = GreaterThan if search.is_of_run else LessThan
        rows = rows.filter(after(key, _bind_sort_key(search, _parse_cursor(search, cursor))))
    with in_index_order() if search.objects is None else nullcontext():
        if conditions and search.objects is None:
            last = rows.values_list(name, "created_at")[SCANNED_ROWS - 1 : SCANNED_ROWS].first()
        if last is not None:
            up_to: Any = LessThanOrEqual if search.is_of_run else GreaterThanOrEqual
            rows = rows.filter(up_to(key, _bind_sort_key(search, last[0])))
        found = list(read_json_as_text(rows.filter(*conditions))[: size + 1])
    if len(found) > size:
        return AuditPage(found[:size], str(getattr(found[size - 1], name)))
    return AuditPage(found, str(last[0]), last[1]) if last else AuditPage(found)


@contextmanager
def in_index_order() -> Iterator[None]:
    """Let the planner read only in the order of an index, and sort nothing.

    It expects few rows of a person or of a run, and would read and sort all of them: possibly millions.
    """
    with transaction.atomic():
        fetch_all(_PLANNER_SQL, *3 * ["off"])
        yield
        fetch_all(_PLANNER_SQL, *3 * ["on"])


def _parse_cursor(search: AuditSearch, cursor: str) -> str | int:
    if search.is_of_run:
        if "\0" in cursor:
            raise ValueError("PostgreSQL cannot store the character NUL in text")
        return cursor
    key = int(cursor)
    if abs(key) > MAX_BIGINT:
        raise ValueError(f"{key} is no key of the audit log")
    return key


def read_json_as_text(rows: QuerySet[AuditLog]) -> QuerySet[AuditLog]:
    """Read the JSON columns as text, ``changes_`` and ``metadata_``: Python's floats would change digits."""
    as_text = {f"{name}_": Cast(name, TextField()) for name in ("changes", "metadata")}
    return rows.defer("changes", "metadata").annotate(**as_text)


def list_persons(limit: int) -> list[str]:
    """List the first persons who changed rows without a run, by a loose scan of their index."""
    table = connection.ops.quote_name(AuditLog._meta.db_table)
    return [name for (name,) in fetch_all(_PERSONS_SQL.format(table=table), limit)]


def get_indexed_rows(search: AuditSearch) -> QuerySet[AuditLog]:
    """Return the rows that an index finds, in its order."""
    rows = AuditLog.objects.order_by("-pk")
    if search.objects is not None:
        is_searched = Q(pk__in=[])
        for label, key in search.objects:
            is_searched |= Q(object_type=label, object_id=key)
        # An expression, since the planner might walk the whole log in the order of its keys.
        return rows.filter(is_searched).order_by((F("pk") + 0).desc())
    if search.is_of_run:
        return rows.filter(run=search.run_id).order_by("object_id")
    if search.is_of_person:
        # Inequalities, for the same reason: only the index of the person has this order.
        name = {"performed_by__gte": search.performed_by, "performed_by__lte": search.performed_by}
        rows = rows.filter(run=None, **name).order_by("-performed_by", "-pk")
    for comparison, time in (
        (GreaterThanOrEqual, search.since and search.since - _LONGEST_TRANSACTION),
        (LessThan, search.until and search.until + _LONGEST_TRANSACTION),
    ):
        if time is not None:
            bound = _bind_sort_key(search, _find_first_key(time))
            rows = rows.filter(comparison(_get_sort_key(search), bound))
    return rows


def _get_sort_key(search: AuditSearch) -> Any:
    """Return the expression that orders the rows; of a person a ROW, which an index finds as a whole."""
    if search.is_of_person:
        return Row(F("performed_by"), F("pk"))
    return F("object_id" if search.is_of_run else "pk")


def _bind_sort_key(search: AuditSearch, key: str | int) -> Any:
    return Row(Value(search.performed_by), Value(key)) if search.is_of_person else key


def _find_first_key(when: datetime) -> int:
    """Return the first key whose row has this time or a later one. Reads one row for each bit of the key.

    Rows that were imported into a catalogue have the times of another log, and are not found by them.
    """
    ends = AuditLog.objects.aggregate(low=Min("pk"), high=Max("pk"))
    low, high = ends["low"] or 0, (ends["high"] or 0) + 1
    rows = AuditLog.objects.order_by("pk").values_list("pk", "created_at")
    while low < high:
        middle = (low + high) // 2
        row = rows.filter(pk__gte=middle).first()
        if row is None or row[1] >= when:
            high = middle
        else:
            low = row[0] + 1
    return low


def _list_conditions(search: AuditSearch) -> list[Q]:
    """List what no index finds: it is looked for in the rows that were found by one."""
    lookups = {
        "run": None if search.is_of_run else search.run_id,
        "performed_by": "" if search.is_of_person else search.performed_by,
        "object_type": search.object_type,
        "changes__has_key": search.column,
        "created_at__gte": search.since,
        "created_at__lt": search.until,
    }
    conditions = [Q((lookup, value)) for lookup, value in lookups.items() if value not in (None, "")]
    if search.secret_types:
        conditions.append(~Q(object_type__in=search.secret_types))
    return [*conditions, _contains_value(search.column, search.value)] if search.value else conditions


def _contains_value(column: str, value: str) -> Q:
    """Whether the old or the new value contains the text, of this column or, with "", of any."""
    if column:
        sides = (KeyTextTransform(side, KeyTransform(column, "changes")) for side in ("old", "new"))
        old, new = (Q(IContains(side, value)) for side in sides)
        return old | new
    return Q(IContains(ChangedValues("changes"), json.dumps(value, ensure_ascii=False)[1:-1]))
