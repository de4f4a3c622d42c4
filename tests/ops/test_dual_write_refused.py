"""Expressions that a trigger cannot compute from its row are refused in words."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models import Count, Exists, F, Func, OuterRef, Subquery, Value, Window
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast, Concat, Lower, Now, Random, RowNumber, TruncDate
from django.test.utils import isolate_apps

from ops.exceptions import OpsError
from ops.sql.dual_write import comparable_value, compile_dual_write
from ops.sql.row_expression import DualWriteRefused
from tests.trials.models import OfType, Owner, Sort, Thing

pytestmark = [pytest.mark.engine, pytest.mark.django_db]


def compile_over(model: type[models.Model], old: str, new: str, value: Any) -> str:
    old_field, new_field = (model._meta.get_field(name) for name in (old, new))
    to_new = comparable_value(value, new_field)  # type: ignore[arg-type]
    return compile_dual_write("trial", model, old_field, new_field, to_new, None).to_new  # type: ignore[arg-type]


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "random": (
        lambda: Cast(Random(), models.TextField()),
        "calls random, which gives another value each time",
    ),
    "random uuid": (lambda: Cast(RandomUUID(), models.TextField()), "calls gen_random_uuid"),
    "the clock": (lambda: Cast(Now(), models.TextField()), "calls statement_timestamp"),
    "a sequence": (lambda: Func(Value("s"), function="nextval"), "calls nextval"),
    "the clock in SQL": (lambda: RawSQL("current_date::text", ()), "calls current_date"),
    "an aggregate": (lambda: Count("pk"), "is no expression over one row: aggregates"),
    "a window": (lambda: Window(RowNumber()), "is no expression over one row: aggregates"),
    "a subquery": (lambda: Subquery(Owner.objects.values("name")[:1]), "is no expression over one row"),
    "whether a row exists": (
        lambda: Exists(Owner.objects.filter(pk=OuterRef("pk"))),
        "is no expression over",
    ),
    "a subquery in SQL": (lambda: RawSQL("(SELECT 'x')", ()), "has a subquery"),
    "a join": (lambda: F("owner__name"), "is no expression over one row"),
    "a generated column": (lambda: Cast("doubled", models.TextField()), "doubled is generated"),
    "no such field": (lambda: F("nothing"), "is no expression over one row"),
    "no such cast": (lambda: Cast("score", models.DateField()), "PostgreSQL cannot compute"),
    "no such function": (lambda: Func(F("name"), function="no_such_function"), "no_such_function"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_expression_that_a_trigger_cannot_compute_is_refused(name: str) -> None:
    expression, words = REFUSED[name]
    with pytest.raises(DualWriteRefused, match=words) as error:
        compile_over(Thing, "name", "note", expression())
    assert isinstance(error.value, OpsError)


@pytest.mark.parametrize("kind", ["json", "xml", "point"])
def test_a_type_whose_values_cannot_be_compared_is_refused(kind: str) -> None:
    with isolate_apps("tests.trials"):

        class Document(models.Model):
            old = OfType(kind)
            new = OfType(kind)

            class Meta:
                app_label = "trials"

        with pytest.raises(DualWriteRefused, match=rf"{kind} = {kind}|equality operator for type {kind}"):
            compile_over(Document, "old", "new", F("old"))


@pytest.mark.parametrize(
    "expression",
    [
        Lower("name"),
        Concat("name", Value("{%s} now() select random()"), output_field=models.TextField()),
        Cast(F("score") * 2, models.TextField()),
        Cast(TruncDate("updated_at"), models.TextField()),
    ],
)
def test_an_expression_over_the_row_is_compiled(expression: Any) -> None:
    assert "NEW." in compile_over(Thing, "name", "note", expression).format(old="NEW.name", new="NEW.note")


def test_a_boolean_is_converted_by_the_cast_that_exists() -> None:
    assert compile_over(Sort, "flag", "number", F("flag")) == "({old})::integer"
