"""Dual writes: triggers that keep two columns of a table equal while both are in use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, connections, transaction
from django.db.models import (
    BooleanField,
    Case,
    DecimalField,
    Expression,
    Field,
    Func,
    IntegerField,
    Model,
    When,
)
from django.db.models.functions import Cast
from django.db.models.lookups import IsNull

from ops.sql.compile import cast_to_column_type
from ops.sql.integers import SIZES
from ops.sql.rejections import RejectionReason, rejection_conditions
from ops.sql.row_expression import RowExpression
from ops.sql.watched_column import WatchedColumn

OFF_SETTING = "ops.dual_write"
_COPIED_TYPES = ("varchar", "text")
_LITERAL = re.compile(r"'[^'\\]*'|NULL")


@dataclass(frozen=True)
class DualWrite(WatchedColumn):
    """The dual write between two columns of a table, as a migration stores it.

    ``to_new`` and ``to_old`` are SQL over the row, with ``{old}`` and ``{new}`` for the two columns;
    ``to_old`` is None where there is no way back. ``sources`` are the columns, other than the old one, that
    ``to_new`` reads. Where the old column has no default of its own, it may have that of the new one.
    ``keeps``: a new value that has no old one leaves the old column as it is; else it is refused.
    ``retired``: code does not know the old column any more, and cannot give it a value.
    ``empties``: where ``keeps`` and ``retired``, such a value empties the old column.
    """

    new: str
    to_new: str
    to_old: str | None = None
    sources: tuple[str, ...] = ()
    keeps: bool = field(default=False, kw_only=True)
    retired: bool = field(default=False, kw_only=True)
    empties: bool = field(default=False, kw_only=True)

    @property
    def is_plain_copy(self) -> bool:
        """Whether each column is a copy of the other, of one built-in type, with no or a literal default.

        Then no name in the triggers depends on a search_path.
        """
        casts = [(f"({{old}})::{kind}", f"({{new}})::{kind}") for kind in _COPIED_TYPES]
        return (self.to_new, self.to_old) in casts and _LITERAL.fullmatch(self.default or "NULL") is not None

    @property
    def trigger_prefix(self) -> str:
        return f"dual_write_{self.change}_"

    @property
    def trigger_parts(self) -> tuple[str, ...]:
        return "by_insert", "by_update", "insert", "update"


@dataclass(frozen=True)
class KeyCopy(DualWrite):
    """The dual write of a primary key: one of the columns is a copy of the other, whatever is written to it.

    Until the old one is retired, the new one is the copy. Nobody is recorded as a writer of the old column:
    each INSERT is one.
    """

    @property
    def trigger_parts(self) -> tuple[str, ...]:
        return ("copy",)


def comparable_value(value: Any, field: Field[Any, Any]) -> Expression:
    """Cast a value or an expression to the column's type, rounded where an assignment would round it.

    A cast to ``varchar(32)`` would truncate, where the assignment raises: it is compared without the length.
    """
    if isinstance(field, DecimalField) and hasattr(value, "resolve_expression"):
        return Cast(value, field)
    return cast_to_column_type(value, field)


def expressible_value(value: Any, field: Field[Any, Any], source: Field[Any, Any]) -> Expression:
    """Return ``comparable_value``; NULL where the value is too long or too large for the column.

    ``source`` is the column that the value is made of. The items of an array are not measured, since a
    trigger's expression has no subquery.
    """
    stored, kind = comparable_value(value, field), str(field.db_type(connection))
    is_number, is_decimal = isinstance(source, IntegerField | DecimalField), isinstance(field, DecimalField)
    if is_number and (size := SIZES.get(kind)):
        template = f"(%(expressions)s) BETWEEN {-size} AND {size - 1}"
        fits: Expression = Func(value, template=template, output_field=BooleanField())
    elif rejection_conditions(field).keys() & (
        {"long", "large"} if is_number else {"long"}
    ) and not kind.endswith("]"):
        fits = IsNull(RejectionReason(value if is_decimal else stored, field), True)
    else:
        return stored
    return Case(When(fits, then=stored), default=None)


def compile_dual_write(
    change: str,
    model: type[Model],
    old: Field[Any, Any],
    new: Field[Any, Any],
    to_new: Expression,
    to_old: Expression | None,
    **options: Any,
) -> DualWrite:
    """Compile the two expressions, over fields of the model, to the SQL of a dual write.

    Raises DualWriteRefused.
    """
    compiled = RowExpression(model, to_new, old, new)
    back = None if to_old is None else RowExpression(model, to_old, old, new)
    for expression, column in ((compiled, new), (back, old)):
        if expression is not None:
            expression.require_comparable_with(column)
    return DualWrite(
        change,
        model._meta.db_table,
        str(old.column),
        str(new.column),
        compiled.template,
        back.template if back else None,
        sources=tuple(sorted({str(f.column) for f in compiled.fields} - {str(old.column), str(new.column)})),
        nullable=old.null,
        **options,
    )


@contextmanager
def dual_writes_off(alias: str = "default") -> Iterator[None]:
    """Write both columns as given, in one transaction: for rows that are loaded as they were.

    An old column that is left out and may not be NULL is filled, and so is one that is retired.
    """
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        cursor.execute("SELECT current_setting(%s, true), set_config(%s, 'off', true)", [OFF_SETTING] * 2)
        [before, _] = cursor.fetchone()
        yield
        cursor.execute("SELECT set_config(%s, %s, true)", [OFF_SETTING, before or ""])
