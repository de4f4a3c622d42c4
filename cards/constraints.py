"""Functions that build the constraints of the models."""

from django.db.models import (
    CheckConstraint,
    Deferrable,
    F,
    Func,
    IntegerField,
    Q,
    TextField,
    UniqueConstraint,
    Value,
)
from django.db.models.lookups import Exact, IsNull


def unique_constraint(
    field: str, *, name: str, message: str, deferrable: Deferrable | None = None
) -> UniqueConstraint:
    """Return a constraint: ``unique=True`` would add a second index, for LIKE, to a text column."""
    return UniqueConstraint(fields=[field], name=name, deferrable=deferrable, violation_error_message=message)


def not_empty_check(field: str, *, name: str) -> CheckConstraint:
    return CheckConstraint(
        condition=~Q(**{field: ""}), name=name, violation_error_message=f"{field} may not be empty."
    )


def regex_check(pattern: str, field: str, *, name: str, message: str) -> CheckConstraint:
    """Build a regex check: PostgreSQL's ``$``, unlike Python's, does not match before a final newline."""
    return CheckConstraint(
        condition=Q(**{f"{field}__regex": pattern}), name=name, violation_error_message=message
    )


def json_object_check(field: str, *, name: str) -> CheckConstraint:
    kind = Func(F(field), function="jsonb_typeof", output_field=TextField())
    return CheckConstraint(
        condition=Exact(kind, Value("object")),
        name=name,
        violation_error_message=f'{field} must be a JSON object, for example {{"habitat": "páramo"}}.',
    )


def no_nulls_check(field: str, *, name: str) -> CheckConstraint:
    first_null = Func(F(field), Value(None), function="array_position", output_field=IntegerField())
    return CheckConstraint(
        condition=IsNull(first_null, True),
        name=name,
        violation_error_message=f"{field} may not hold nulls.",
    )
