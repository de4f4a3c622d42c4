"""Any writes of two columns with a dual write: by old code, new code, and code that knows both."""

import datetime
import uuid
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.postgres.fields import ArrayField
from django.db import Error, connection, models, transaction
from django.db.models import F
from django.db.models.functions import Cast
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.sqlstates import sqlstate
from tests.ops.dual_writing import LEFT_OUT, Change, Pair, Refused, dual_written
from tests.ops.running import execute_sql

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

CHECK_VIOLATION, NOT_NULL_VIOLATION = "23514", "23502"
NASTY = ["a", "it's", "{old}", "100%", '"q"', "\\"]
MAPPING = {"a": "X", "b": "X", "it's {new} %s": 'quote " and {brace}', "d": "D"}
BACK = {new: old for old, new in reversed([*MAPPING.items()])}
UUIDS = [uuid.UUID(int=n) for n in range(3)]
MIDNIGHTS = [datetime.datetime(2026, 11, day, tzinfo=datetime.UTC) for day in (1, 2)]
NOON = MIDNIGHTS[0].replace(hour=12)


def casts(to_new: Any, to_old: Any) -> dict[str, Callable[..., Any]]:
    return {
        "get_new_value": lambda self: Cast(F("value"), to_new),
        "get_old_value": lambda self: Cast(F("value_v2"), to_old),
    }


def cents(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"), rounding="ROUND_HALF_UP")


MAPPED = Change(
    models.CharField(max_length=32),
    models.CharField(max_length=64, null=True),
    [*MAPPING, "unmapped"],
    [*BACK, "only new"],
    MAPPING.get,
    BACK.get,
    {"mapping": MAPPING},
)
WIDER = Change(
    models.CharField(max_length=32), models.CharField(max_length=64, null=True), NASTY, [*NASTY, "new"]
)
CHANGES = {
    "wider": WIDER,
    "wider, with a default": replace(WIDER, default="a", default_sql="'a'::character varying"),
    "wider, from NULL": replace(WIDER, old=models.CharField(max_length=32, null=True)),
    "wider, from NULL with a default": replace(
        WIDER,
        old=models.CharField(max_length=32, null=True),
        default="a",
        default_sql="'a'::character varying",
    ),
    "text to integer": Change(
        models.TextField(),
        models.IntegerField(null=True),
        ["007", "7", "-1", " 8"],
        [7, 8, -1],
        int,
        str,
        casts(models.IntegerField(), models.TextField()),
    ),
    "integer to bigint": Change(
        models.IntegerField(default=0), models.BigIntegerField(null=True), [0, 1, -(2**31)], [0, 1, 2**31 - 1]
    ),
    "boolean to smallint": Change(
        models.BooleanField(), models.SmallIntegerField(null=True), [True, False], [*range(6)], int, bool
    ),
    "boolean to smallint, from NULL": Change(
        models.BooleanField(null=True),
        models.SmallIntegerField(null=True),
        [True, False],
        [*range(6)],
        int,
        bool,
    ),
    "decimal": Change(
        models.DecimalField(max_digits=6, decimal_places=2),
        models.DecimalField(max_digits=9, decimal_places=3, null=True),
        [Decimal("1.25"), Decimal("-3.00")],
        [Decimal("1.250"), Decimal("1.255"), Decimal("1.254"), Decimal("-3.000")],
        to_old=cents,
    ),
    "timestamp to date": Change(
        models.DateTimeField(),
        models.DateField(null=True),
        [*MIDNIGHTS, NOON],
        [moment.date() for moment in MIDNIGHTS],
        lambda moment: moment.date(),
        lambda day: datetime.datetime.combine(day, datetime.time(), datetime.UTC),
    ),
    "uuid to text": Change(
        models.UUIDField(), models.TextField(null=True), UUIDS, [*map(str, UUIDS)], str, uuid.UUID
    ),
    "array": Change(
        ArrayField(models.CharField(max_length=5)),
        ArrayField(models.TextField(), null=True),
        [[], ["a", "b"], ["{}"]],
        [[], ["a"], ["%"]],
    ),
    "jsonb": Change(
        models.JSONField(), models.JSONField(null=True), [{}, {"a": [1, "%"]}, [], "{old}"], [{}, 1, "%s"]
    ),
    "mapped": MAPPED,
    "mapped, kept": replace(MAPPED, declared={**MAPPED.declared, "unmappable": "keep"}),
    "mapped, kept, from NULL": replace(
        MAPPED,
        old=models.CharField(max_length=32, null=True),
        declared={**MAPPED.declared, "unmappable": "keep"},
    ),
    "mapped, from NULL": replace(MAPPED, old=models.CharField(max_length=32, null=True)),
    "mapped, kept, with a default": replace(
        MAPPED,
        declared={**MAPPED.declared, "unmappable": "keep"},
        default="b",
        default_sql="'b'::character varying",
    ),
    "no way back": replace(
        WIDER, to_old=lambda value: None, declared={"get_old_value": lambda self: None}
    ),
    "no way back, kept": replace(
        WIDER,
        to_old=lambda value: None,
        declared={"get_old_value": lambda self: None, "unmappable": "keep"},
    ),
}  # fmt: skip


def adapted(field: Any, value: Any) -> Any:
    return field.get_db_prep_save(value, connection)


class Row:
    """The one row of the table, written by statements as the programs of three versions send them."""

    def __init__(self, table: Any, change: Change) -> None:
        self.model, self.change = table.model, change
        self.model.objects.all().delete()
        self.pair: Pair | None = None

    def write(self, old: Any, new: Any) -> None:
        given = {"value": old, "value_v2": new}
        given = {name: value for name, value in given.items() if value is not LEFT_OUT}
        try:
            expected = (
                self.change.after_update(self.pair, **given)
                if self.pair
                else self.change.after_insert(old, new)
            )
        except Refused:
            with pytest.raises(Error) as error, transaction.atomic():
                self._execute(given)
            assert sqlstate(error.value) in {CHECK_VIOLATION, NOT_NULL_VIOLATION}
            return
        self._execute(given)
        self.pair = self.stored()
        assert self.pair == expected

    def _execute(self, given: dict[str, Any]) -> None:
        table, fields = self.model._meta.db_table, self.model._meta.get_field
        values = [adapted(fields(name), value) for name, value in given.items()]
        if not self.pair:
            columns, marks = ", ".join(given) or "id", ", ".join(["%s"] * len(values)) or "DEFAULT"
            execute_sql(f"INSERT INTO {table} ({columns}) VALUES ({marks})", *values)
        elif given:
            execute_sql(f"UPDATE {table} SET {', '.join(f'{name} = %s' for name in given)}", *values)

    def stored(self) -> Pair:
        return self.model.objects.values_list("value", "value_v2").get()


@pytest.mark.parametrize("name", CHANGES)
def test_two_columns_are_as_the_design_says_after_any_writes(name: str) -> None:
    change = CHANGES[name]
    olds, news = (
        st.one_of(st.just(LEFT_OUT), st.sampled_from([None, *values]))
        for values in (change.old_values, change.new_values)
    )
    with dual_written(change) as table:

        @settings(deadline=None)
        @given(st.lists(st.tuples(olds, news), min_size=1, max_size=8))
        def write_any(writes: list[tuple[Any, Any]]) -> None:
            row = Row(table, change)
            for write in writes:
                row.write(*write)

        write_any()


@pytest.mark.parametrize("name", [name for name in CHANGES if "no way back" not in name])
def test_two_columns_agree_after_any_writes_of_one_of_them(name: str) -> None:
    change = CHANGES[name]
    olds, news = (st.sampled_from(values) for values in (change.old_values, change.new_values))
    mapped_news = news.filter(lambda value: change.to_old(value) is not None)
    one = st.tuples(olds, st.just(LEFT_OUT)) | st.tuples(st.just(LEFT_OUT), mapped_news)
    with dual_written(change) as table:

        @settings(deadline=None)
        @given(st.lists(one, min_size=1, max_size=8))
        def write_any(writes: list[tuple[Any, Any]]) -> None:
            row = Row(table, change)
            for old, new in writes:
                row.write(old, new)
                assert row.pair
                assert change.agree(row.pair)
                assert row.pair[0] == old or row.pair[1] == new, "a value that was asked for was rewritten"

        write_any()
