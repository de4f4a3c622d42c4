"""Why rows failed, in the words of the catalogue's staff instead of those of PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.db.models import BaseConstraint, Model

from ops.admin.live.run_words import label_field

# From the match and the model to the reason.
_Reason = Callable[[re.Match[str], type[Model]], str]


def explain_failure(error: str, model: type[Model]) -> str:
    """Return the reason as a sentence; the first line of the error where there are no other words for it."""
    for pattern, reason in _REASONS:
        if match := re.search(pattern, error):
            return reason(match, model)
    return error.partition("\n")[0]


def _label(model: type[Model], column: str) -> str:
    label = label_field(model, column)
    return label[:1].upper() + label[1:]


def _explain_check(match: re.Match[str], model: type[Model]) -> str:
    """Say what the constraint itself says of a violation, if it says anything."""
    for constraint in model._meta.constraints:
        is_silent = constraint.violation_error_message == BaseConstraint.default_violation_error_message
        if constraint.name == match[1] and not is_silent:
            return str(constraint.get_violation_error_message())
    return f"The new value breaks the rule “{match[1].replace('_', ' ')}”."


_REASONS: list[tuple[str, _Reason]] = [
    (
        r"value too long for type character varying\((\d+)\)",
        lambda match, model: f"A new value has more than the {match[1]} characters that its field allows.",
    ),
    (
        r'null value in column "(.+?)" of relation',
        lambda match, model: f"{_label(model, match[1])} would be empty, and must not be.",
    ),
    (r'violates check constraint "(.+?)"', _explain_check),
    (
        r"(?s)violates unique constraint.*Key \((.+?)\)=\((.+?)\) already exists",
        lambda match, model: (
            f"{_label(model, match[1])} would be “{match[2]}”, which another {model._meta.verbose_name} has."
        ),
    ),
    (
        r"(?s)violates foreign key constraint.*Key \((.+?)\)=\((.+?)\) is not present",
        lambda match, model: f"{_label(model, match[1])} would be “{match[2]}”, which does not exist.",
    ),
    (
        r"(?:smallint|integer|bigint) out of range|numeric field overflow",
        lambda match, model: "A new number is too large for its field.",
    ),
    (r"division by zero", lambda match, model: "The new value is the result of a division by zero."),
    (
        r"^not changed: ",
        lambda match, model: "The database kept the old value: a rule of its own protects it.",
    ),
    (
        r"^locked ",
        lambda match, model: f"Somebody else was changing the {model._meta.verbose_name} all the time.",
    ),
]
