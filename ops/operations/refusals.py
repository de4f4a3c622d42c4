"""What can be foreseen of new values: those of the first rows that their columns will refuse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import F, Field, QuerySet

from ops.operations.base import Operation
from ops.operations.compiler import annotate_new_values, new_value_alias, written_fields
from ops.sql.rejections import RejectionReason, column_size, rejection_conditions

# Of so many rows the new values are looked at.
SAMPLE_SIZE = 1_000
VALUES_COMPUTED_LATER = "the new values are made row by row, by process(), when it is executed"


def predict_failures(rows: QuerySet[Any], operation: Operation) -> Iterator[str]:
    """In words, how many of the first rows would fail, a line for each column and reason."""
    found = find_rejected_values(rows[:SAMPLE_SIZE], operation, operation.display_field)
    for field in written_fields(operation):
        reasons = [(why[field.name], label) for label, why in found if field.name in why]
        for reason in dict.fromkeys(reason for reason, _ in reasons):
            named = [label for other, label in reasons if other == reason]
            counted = f"{len(named):,} of the first {len(found):,} rows would fail, such as {named[0]}"
            yield f"{counted}: the new {field.name} {_MESSAGES[reason](field)}"


def _too_long_message(field: Field[Any, Any]) -> str:
    return f"is longer than the {column_size(field)[0]:,} characters that the column takes"


def _too_large_message(field: Field[Any, Any]) -> str:
    size, places = column_size(field)
    return f"has more than the {size - places} digits before the point"


def _null_message(field: Field[Any, Any]) -> str:
    return "would be NULL, which the column does not take"


_MESSAGES = {"null": _null_message, "long": _too_long_message, "large": _too_large_message}


def find_rejected_values(
    rows: QuerySet[Any], operation: Operation, label: str
) -> list[tuple[Any, dict[str, str]]]:
    """For each row its label, and by the field's name why its new value will be refused."""
    fields = [field for field in written_fields(operation) if rejection_conditions(field)]
    if not fields:
        return []
    asked = {f"refusal_{field.name}_": RejectionReason(F(new_value_alias(field)), field) for field in fields}
    told = annotate_new_values(rows.annotate(row_label_=F(label)), operation).annotate(**asked)
    names = [field.name for field in fields]
    return [
        (row[0], {name: why for name, why in zip(names, row[1:], strict=True) if why})
        for row in told.values_list("row_label_", *asked)
    ]
