"""Messages for the constraint violations of a pack's rows, found before the database raises them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from django.db import models

from cards.packs.row_schema import RowSchema
from cards.packs.source import Source
from ops.formatting import quote_truncated, to_camel_case, truncate
from ops.sql.violations import Violation, ViolationKind


def fault_reasons(faults: Iterable[Violation], source: Source, schema: RowSchema) -> list[tuple[int, str]]:
    """Return ``(position, reason)`` of each row, with all its faults; ``faults`` are in the rows' order."""
    rows = groupby(faults, lambda fault: fault.position)
    return [(position, "; ".join(_iter_fault_texts(list(group), source, schema))) for position, group in rows]


def _iter_fault_texts(faults: list[Violation], source: Source, schema: RowSchema) -> Iterator[str]:
    for kind, group in groupby(faults, lambda fault: fault.kind):
        match kind:
            case ViolationKind.MISSING:
                yield _missing_text(list(group))
            case ViolationKind.DUPLICATE:
                yield from (_duplicate_text(fault, source) for fault in group)
            case ViolationKind.RENAMED:
                yield from (_renamed_text(fault, schema) for fault in group)
            case ViolationKind.CHECK:
                yield from (_constraint_violation_text(fault, schema) for fault in group)
            case ViolationKind.UNIQUE:
                yield from (_conflict_text(fault) for fault in group)


def _missing_text(faults: list[Violation]) -> str:
    names = [to_camel_case(fault.subject) for fault in faults]
    missing = f"{', '.join(names[:-1])} and {names[-1]} are" if len(names) > 1 else f"{names[0]} is"
    key = faults[0].key
    return f"{missing} missing, and {quote_truncated(key)} is a new row" if key else f"{missing} missing"


def _duplicate_text(fault: Violation, source: Source) -> str:
    value, before = quote_truncated(str(fault.value)), source.row_label(int(fault.related or 0))
    return f"{fault.subject} {value} is already in {before}"


def _renamed_text(fault: Violation, schema: RowSchema) -> str:
    origin = f"{fault.subject} {quote_truncated(str(fault.value))}"
    old, new = quote_truncated(str(fault.related)), quote_truncated(str(fault.key))
    row = schema.model._meta.verbose_name
    return (
        f"In the database, {origin} belongs to the {row} {old}, but the file calls it {new}."
        f" Rename the {row} in the database first."
    )


def _constraint_violation_text(fault: Violation, schema: RowSchema) -> str:
    constraints = {constraint.name: constraint for constraint in schema.model._meta.constraints}
    constraint, value = constraints.get(fault.subject), quote_truncated(str(fault.value))
    if isinstance(constraint, models.CheckConstraint):
        return f"{value} violates {fault.subject}: {constraint.violation_error_message}"
    return f'{value} violates the constraint "{truncate(fault.subject)}": {truncate(str(fault.related), 200)}'


def _conflict_text(fault: Violation) -> str:
    names = ", ".join(to_camel_case(name) for name in fault.subject.split(", "))
    return f"{names} {truncate(str(fault.value))} is already used by {quote_truncated(str(fault.related))}"
