"""Find new values that their columns will reject, among the first rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import F, Field, QuerySet

from ops.operations.base import Operation
from ops.operations.compiler import annotate_new_values, new_value_alias, written_fields
from ops.sql.rejections import RejectionReason, column_size, rejection_conditions

# Number of rows whose new values are checked.
SAMPLE_SIZE = 1_000
VALUES_COMPUTED_LATER = "The preview cannot show the new values: the run computes them."


def predict_failures(rows: QuerySet[Any], operation: Operation) -> Iterator[str]:
    """Yield how many of the first rows would fail, a line for each column and reason."""
    sample = find_rejected_values(rows[:SAMPLE_SIZE], operation, operation.display_field)
    for field in written_fields(operation):
        rejected = [(reasons[field.name], name) for name, reasons in sample if field.name in reasons]
        for reason in dict.fromkeys(reason for reason, _ in rejected):
            names = [name for other, name in rejected if other == reason]
            count = f"{len(names):,} of the first {len(sample):,} rows would fail, such as {names[0]}"
            yield f"{count}: the new {field.name} {_MESSAGES[reason](field)}"


def _too_long_message(field: Field[Any, Any]) -> str:
    return f"is longer than the {column_size(field)[0]:,} characters that the column allows"


def _too_large_message(field: Field[Any, Any]) -> str:
    size, places = column_size(field)
    return f"has more than the {size - places} digits before the decimal point that the column allows"


def _null_message(field: Field[Any, Any]) -> str:
    return "would be NULL, which the column does not allow"


_MESSAGES = {"null": _null_message, "long": _too_long_message, "large": _too_large_message}


def find_rejected_values(
    rows: QuerySet[Any], operation: Operation, display_field: str
) -> list[tuple[Any, dict[str, str]]]:
    """Return for each row its display name, and by field name why its new value will be rejected."""
    fields = [field for field in written_fields(operation) if rejection_conditions(field)]
    if not fields:
        return []
    reasons = {
        f"refusal_{field.name}_": RejectionReason(F(new_value_alias(field)), field) for field in fields
    }
    rows = annotate_new_values(rows.annotate(row_label_=F(display_field)), operation).annotate(**reasons)
    names = [field.name for field in fields]
    return [
        (row[0], {name: reason for name, reason in zip(names, row[1:], strict=True) if reason})
        for row in rows.values_list("row_label_", *reasons)
    ]
