"""Every kind of column: what a run sets is what it audits, and what it audits is what is stored."""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.db import DataError
from django.db.models import F, JSONField, QuerySet, Value
from django.db.models.functions import Concat

from tests.ops.conftest import RegisterOperation
from tests.ops.running import (
    audited_changes,
    create_run,
    errors_by_object,
    execute_operation,
    execute_run,
    execute_sql,
    make_operation,
    make_row_operation,
)
from tests.trials.models import Odd, Owner, Renamed, Sort, Thing

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

ROWS = Sort.objects.filter(done=False)
CODE = uuid.UUID("12345678-1234-5678-1234-567812345678")
MOMENT = dt.datetime(2024, 2, 29, 23, 59, 58, 123456, tzinfo=dt.UTC)
MISSING = "missing"  # in an audit row of a JSON column: SQL NULL

KINDS: list[tuple[str, Any, Any]] = [
    ("text", 'it\'s "100%" \\ ñ 🐦 {}', 'it\'s "100%" \\ ñ 🐦 {}'),
    ("text", "", ""),
    ("text", None, None),
    ("short", "12345", "12345"),
    ("number", -2147483648, -2147483648),
    ("price", Decimal("1234.50"), 1234.5),
    ("price", Decimal("1.005"), 1.01),
    ("ratio", 0.1, 0.1),
    ("flag", True, True),
    ("flag", None, None),
    ("day", dt.date(2024, 2, 29), "2024-02-29"),
    ("moment", MOMENT, "2024-02-29T23:59:58.123456+00:00"),
    ("code", CODE, str(CODE)),
    ("words", ["a", 'b"', "{c}", "%s"], ["a", 'b"', "{c}", "%s"]),
    ("words", [], []),
    ("data", {"a": [1, None, {"b": "ñ%\\"}], "c": 1.5}, {"a": [1, None, {"b": "ñ%\\"}], "c": 1.5}),
    ("data", [], []),
    ("data", "text", "text"),
    ("data", False, False),
    ("data", None, MISSING),
]


def by_changes(column: str, value: Any) -> Any:
    return make_operation(ROWS, {column: value, "done": True})


def by_process(column: str, value: Any) -> Any:
    return make_row_operation(
        ROWS, lambda rows: {r.pk: {column: value, "done": True} for r in rows}, column, "done"
    )


@pytest.mark.parametrize("declared", [by_changes, by_process])
@pytest.mark.parametrize(("column", "value", "audited"), KINDS)
def test_a_value_is_stored_and_audited_as_its_column_holds_it(
    declare: RegisterOperation, declared: Any, column: str, value: Any, audited: Any
) -> None:
    row = Sort.objects.create()
    run = execute_operation(declare(declared(column, value)))
    assert run.state == "succeeded", errors_by_object(run)
    row.refresh_from_db()
    stored = getattr(row, column)
    assert stored == (Decimal(str(audited)) if column == "price" else value)
    change = audited_changes(run)[str(row.pk)][column]
    assert change.get("new", MISSING) == audited
    assert change.get("old", MISSING) == (MISSING if column == "data" else None)


@pytest.mark.parametrize("declared", [by_changes, by_process])
def test_none_in_a_json_column_is_sql_null(declare: RegisterOperation, declared: Any) -> None:
    row = Sort.objects.create(data={"a": 1})
    run = execute_operation(declare(declared("data", None)))
    assert execute_sql("SELECT data IS NULL FROM trials_sort") == [(True,)]
    assert audited_changes(run)[str(row.pk)]["data"] == {"old": {"a": 1}}


def test_json_null_stays_apart_from_sql_null(declare: RegisterOperation) -> None:
    row = Sort.objects.create(data=Value(None, JSONField()))
    run = execute_operation(declare(by_changes("data", {"a": 1})))
    assert audited_changes(run)[str(row.pk)]["data"] == {"old": None, "new": {"a": 1}}
    Sort.objects.update(done=False)
    again = execute_operation(declare(by_changes("data", Value(None, JSONField()))))
    assert audited_changes(again)[str(row.pk)]["data"] == {"old": {"a": 1}, "new": None}
    assert execute_sql("SELECT data::text FROM trials_sort") == [("null",)]


@pytest.mark.parametrize("declared", [by_changes, by_process])
@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("short", "123456", "value too long for type character varying(5)"),
        ("words", ["ok", "123456"], "value too long for type character varying(5)"),
        ("price", Decimal("10000"), "numeric field overflow"),
        ("owner", 999, "violates foreign key constraint"),
    ],
)
def test_a_value_that_does_not_fit_fails_its_row_and_is_not_truncated(
    declare: RegisterOperation, declared: Any, column: str, value: Any, message: str
) -> None:
    row = Sort.objects.create()
    run = execute_operation(declare(declared(column, value)))
    assert run.state == "finished_with_failures"
    assert message in errors_by_object(run)[str(row.pk)]
    row.refresh_from_db()
    assert (getattr(row, column), row.done) == (None, False)
    assert audited_changes(run) == {}


@pytest.mark.parametrize("declared", [by_changes, by_process])
def test_a_foreign_key_is_set_and_audited_by_its_column(declare: RegisterOperation, declared: Any) -> None:
    row, owner = Sort.objects.create(), Owner.objects.create(name="Ana")
    run = execute_operation(declare(declared("owner", owner.pk)))
    row.refresh_from_db()
    assert row.owner == owner
    assert audited_changes(run)[str(row.pk)]["owner_id"] == {"old": None, "new": owner.pk}


def test_a_number_too_great_for_its_column_fails_its_row(declare: RegisterOperation) -> None:
    small, great = Sort.objects.create(price=21), Sort.objects.create(price=22)
    run = execute_operation(declare(make_operation(ROWS, {"number": F("price") * 100_000_000, "done": True})))
    assert (run.state, list(audited_changes(run))) == ("finished_with_failures", [str(small.pk)])
    assert errors_by_object(run) == {str(great.pk): "integer out of range"}


def test_a_constant_that_no_row_can_hold_ends_the_run(declare: RegisterOperation) -> None:
    """PostgreSQL computes it before it looks at any row, so each batch fails, even one without rows."""
    Sort.objects.bulk_create(Sort() for _ in range(3))
    run = create_run(declare(make_operation(ROWS, {"number": 2147483648, "done": True})))
    with pytest.raises(DataError, match="integer out of range"):
        execute_run(run)
    run.refresh_from_db()
    assert (run.state, audited_changes(run)) == ("failed", {})


def test_an_expression_becomes_its_columns_type(declare: RegisterOperation) -> None:
    row = Sort.objects.create(number=7, text="x")
    changes = {"price": F("number"), "ratio": F("number"), "text": Concat("text", Value("%y")), "done": True}
    run = execute_operation(declare(make_operation(ROWS, changes)))
    row.refresh_from_db()
    assert (row.price, row.ratio, row.text) == (Decimal("7.00"), 7.0, "x%y")
    assert audited_changes(run)[str(row.pk)]["text"] == {"old": "x", "new": "x%y"}


def _odd() -> QuerySet[Any]:
    return Odd.objects.filter(copy=None)


@pytest.mark.parametrize(
    "declared",
    [
        make_operation(_odd(), {"copy": F("title")}),
        make_row_operation(_odd(), lambda rows: {row.pk: {"copy": row.title} for row in rows}, "copy"),
    ],
)
def test_names_that_must_be_quoted_are_quoted(declare: RegisterOperation, declared: Any) -> None:
    row = Odd.objects.create(title="100% 'x'")
    run = execute_operation(declare(declared))
    assert audited_changes(run) == {str(row.pk): {"select": {"old": None, "new": "100% 'x'"}}}


@pytest.mark.parametrize(
    "declared",
    [
        make_operation(
            Renamed.objects.filter(new_price=None), {"new_price": F("price"), "price": F("old_price")}
        ),
        make_row_operation(
            Renamed.objects.filter(new_price=None),
            lambda rows: {r.pk: {"new_price": r.price, "price": r.old_price} for r in rows},
            "new_price",
            "price",
        ),
    ],
)
def test_columns_may_be_called_as_the_engine_calls_its_own(declare: RegisterOperation, declared: Any) -> None:
    row = Renamed.objects.create(price=1, old_price=3)
    run = execute_operation(declare(declared))
    assert audited_changes(run)[str(row.pk)] == {
        "new_price": {"old": None, "new": 1},
        "price": {"old": 1, "new": 3},
    }


@pytest.mark.parametrize(
    "declared",
    [
        make_operation(Thing.objects.filter(note=None), {"note": F("name")}),
        make_row_operation(
            Thing.objects.filter(note=None), lambda rows: {r.pk: {"note": r.name} for r in rows}, "note"
        ),
    ],
)
def test_what_a_trigger_made_of_a_value_is_audited(
    declare: RegisterOperation, trigger: Any, declared: Any
) -> None:
    row = Thing.objects.create(name="abc")
    trigger("trials_thing", "NEW.note := upper(NEW.note); RETURN NEW;")
    run = execute_operation(declare(declared))
    assert audited_changes(run) == {str(row.pk): {"note": {"old": None, "new": "ABC"}}}


@pytest.mark.parametrize(
    "declared",
    [
        make_operation(Thing.objects.filter(note=None), {"note": F("name")}),
        make_row_operation(
            Thing.objects.filter(note=None), lambda rows: {r.pk: {"note": r.name} for r in rows}, "note"
        ),
    ],
)
def test_updated_at_is_set_and_not_audited(declare: RegisterOperation, declared: Any) -> None:
    row = Thing.objects.create(name="abc")
    before = row.updated_at
    run = execute_operation(declare(declared))
    row.refresh_from_db()
    assert row.updated_at > before
    assert list(audited_changes(run)[str(row.pk)]) == ["note"]
