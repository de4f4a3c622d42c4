"""Why the rows of a pack are bad, in words: what the database would refuse, told before it is asked to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from django.db import models

from cards.packs.row_schema import RowSchema, to_camel_case
from cards.packs.source import Source
from ops.formatting import quote_truncated, truncate
from ops.sql.violations import Violation, ViolationKind


def fault_reasons(faults: Iterable[Violation], source: Source, layout: RowSchema) -> list[tuple[int, str]]:
    """``(place, reason)`` of each row, all its faults in one; the faults stand in the rows' order."""
    rows = groupby(faults, lambda fault: fault.position)
    return [(place, "; ".join(_iter_fault_texts(list(found), source, layout))) for place, found in rows]


def _iter_fault_texts(faults: list[Violation], source: Source, layout: RowSchema) -> Iterator[str]:
    for kind, found in groupby(faults, lambda fault: fault.kind):
        match kind:
            case ViolationKind.MISSING:
                yield _missing_text(list(found))
            case ViolationKind.DUPLICATE:
                yield from (_duplicate_text(fault, source) for fault in found)
            case ViolationKind.RENAMED:
                yield from (_renamed_text(fault, layout) for fault in found)
            case ViolationKind.CHECK:
                yield from (_constraint_violation_text(fault, layout) for fault in found)
            case ViolationKind.UNIQUE:
                yield from (_conflict_text(fault) for fault in found)


def _missing_text(faults: list[Violation]) -> str:
    names = [to_camel_case(fault.subject) for fault in faults]
    missing = f"{', '.join(names[:-1])} and {names[-1]} are" if len(names) > 1 else f"{names[0]} is"
    key = faults[0].key
    return f"{missing} missing, and {quote_truncated(key)} is a new row" if key else f"{missing} missing"


def _duplicate_text(fault: Violation, source: Source) -> str:
    value, before = quote_truncated(str(fault.value)), source.row_label(int(fault.related or 0))
    return f"{fault.subject} {value} was given before, in {before}"


def _renamed_text(fault: Violation, layout: RowSchema) -> str:
    name, known = to_camel_case(layout.key), f"{fault.subject} {quote_truncated(str(fault.value))}"
    old, new = quote_truncated(str(fault.related)), quote_truncated(str(fault.key))
    return f"{name} {new} would be a second row of {known}, which is {old} here: give that one the name {new}"


def _constraint_violation_text(fault: Violation, layout: RowSchema) -> str:
    known = {constraint.name: constraint for constraint in layout.model._meta.constraints}
    constraint, value = known.get(fault.subject), quote_truncated(str(fault.value))
    if isinstance(constraint, models.CheckConstraint):
        return f"{value} breaks {fault.subject}: {constraint.violation_error_message}"
    return f'{value} breaks the constraint "{truncate(fault.subject)}": {truncate(str(fault.related), 200)}'


def _conflict_text(fault: Violation) -> str:
    names = ", ".join(to_camel_case(name) for name in fault.subject.split(", "))
    return f"{names} {truncate(str(fault.value))} is already that of {quote_truncated(str(fault.related))}"
