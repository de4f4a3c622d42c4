"""What may be registered, and what is refused with which message."""

from collections.abc import Callable
from typing import Any

import pytest
from django import forms
from django.db.models import Count, Exists, F, Max, OuterRef, Q, QuerySet, Subquery, Value, Window
from django.db.models.functions import Length, RowNumber, Upper
from django.utils import timezone

from ops.exceptions import InvalidDeclaration, UnknownOperation
from ops.operations import Operation, registry
from ops.operations.validation import build_operation, fingerprint
from tests.ops.conftest import RegisterOperation
from tests.ops.running import make_operation, make_row_operation
from tests.trials.models import Composite, Owner, SpecialThing, Tag, Thing

pytestmark = pytest.mark.django_db

MISSING = Thing.objects.filter(note__isnull=True)
TAGGED = Tag.objects.filter(thing=OuterRef("pk"))
NUMBER = Window(RowNumber(), order_by="pk")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (lambda: Thing.objects.alias(n=NUMBER).filter(n=1, note=None), "uses a window function"),
        (lambda: Thing.objects.filter(owner__name="x"), "joins another table"),
        (lambda: Thing.objects.filter(tags__label="x"), "joins another table"),
        (lambda: Thing.objects.filter(friends__name="x"), "joins another table"),
        (lambda: Thing.objects.annotate(of=F("owner__name")), "joins another table"),
        (lambda: MISSING.distinct(), "is DISTINCT"),
        (lambda: MISSING.distinct("name"), "is DISTINCT"),
        (lambda: MISSING[:10], "is sliced"),
        (lambda: MISSING[10:], "is sliced"),
        (lambda: MISSING.union(MISSING), "is a union"),
        (lambda: MISSING.difference(MISSING), "is a difference"),
        (lambda: MISSING.values("name").annotate(n=Count("pk")), "aggregates"),
        (lambda: MISSING.annotate(n=Count("note")).filter(n=1), "aggregates"),
        (lambda: MISSING.annotate(n=Max("score")), "aggregates"),
        (lambda: MISSING.select_for_update(), "locks by itself"),
        (lambda: MISSING.extra(select={"one": "1"}), "uses extra()"),
        (lambda: Thing.objects.filter(pk__in=MISSING), "has a subquery over Thing"),
        (lambda: Thing.objects.filter(pk__in=MISSING.values("pk")), "has a subquery over Thing"),
        (lambda: Thing.objects.exclude(pk__in=MISSING), "has a subquery over Thing"),
        (lambda: Thing.objects.filter(Q(score=1) | ~Q(pk__in=MISSING)), "has a subquery over Thing"),
        (lambda: Thing.objects.filter(Exists(MISSING.filter(name=OuterRef("name")))), "has a subquery over"),
        (lambda: Thing.objects.filter(~Exists(MISSING)), "has a subquery over Thing"),
        (
            lambda: Thing.objects.filter(Exists(TAGGED.filter(thing__in=MISSING))),
            "has a subquery over Thing",
        ),
        (lambda: Thing.objects.filter(Exists(TAGGED.filter(thing__name="x"))), "has a subquery over Thing"),
        (
            lambda: Thing.objects.annotate(top=Subquery(MISSING.values("score")[:1])).filter(score=F("top")),
            "has a subquery over Thing",
        ),
        (
            lambda: Thing.objects.annotate(top=Subquery(MISSING.values("score")[:1]) + 1).filter(top__gt=1),
            "has a subquery over Thing",
        ),
        (
            lambda: Thing.objects.filter(score__lt=Subquery(MISSING.values("score")[:1])),
            "has a subquery over",
        ),
        (
            lambda: Thing.objects.filter(
                owner__in=Owner.objects.filter(pk__in=MISSING.values("owner")).values("pk")
            ),
            "has a subquery over Thing",
        ),
        (lambda: MISSING.values("name"), "values()"),
    ],
)
def test_a_queryset_that_the_engine_cannot_lock_row_by_row_is_refused(
    declare: RegisterOperation, rows: Callable[[], QuerySet[Any]], message: str
) -> None:
    with pytest.raises(InvalidDeclaration, match=r"^trial: get_queryset\(\) ") as refused:
        declare(make_operation(rows, {"note": "x"}))
    assert message in str(refused.value)
    assert str(refused.value).endswith("Exists() over another table is allowed")


@pytest.mark.parametrize(
    "rows",
    [
        lambda: Thing.objects.all(),
        lambda: Thing.objects.none(),
        lambda: Thing.objects.filter(Exists(TAGGED)),
        lambda: Thing.objects.filter(~Exists(TAGGED.filter(label="x")), score=3),
        lambda: Thing.objects.filter(note__isnull=True, score__gt=F("id")),
        lambda: Thing.objects.annotate(size=Length("name")).filter(size__gt=3),
        lambda: Thing.objects.annotate(n=Subquery(TAGGED.values("label")[:1])).filter(n="x"),
        lambda: Thing.objects.filter(owner=5),
        lambda: Thing.objects.filter(owner_id__in=[1, 2], owner__isnull=False),
        lambda: Thing.objects.filter(owner__in=Owner.objects.filter(name="x")),
        lambda: Thing.objects.filter(Q(note=None) | Q(name=Upper("name"))).order_by("-score"),
        lambda: Thing.objects.only("name"),
        lambda: Thing.objects.order_by("owner__name"),
    ],
)
def test_a_queryset_over_the_models_own_columns_is_accepted(
    declare: RegisterOperation, rows: Callable[[], QuerySet[Any]]
) -> None:
    accepted = declare(make_operation(rows, {"note": F("name"), "score": F("score") + 1}))
    assert registry.get_operation("trial") is accepted


@pytest.mark.parametrize("name", ["", "Upper", "with-dash", "1st", "with space", "a" * 65, "_x", "ñ", "x\n"])
def test_a_name_that_cannot_be_typed_as_a_command_is_refused(declare: RegisterOperation, name: str) -> None:
    with pytest.raises(
        InvalidDeclaration, match="Use lower-case letters, digits and underscores,"
    ) as refused:
        declare(make_operation(MISSING, {"note": "x"}, name=name))
    assert repr(name) in str(refused.value)


@pytest.mark.usefixtures("declare")
def test_a_name_that_is_taken_is_refused() -> None:
    registry.register(make_operation(MISSING, {"note": "x"}))
    with pytest.raises(InvalidDeclaration, match=r"^trial is registered already, by "):
        registry.register(make_operation(MISSING, {"note": "y"}))


def test_an_operation_without_a_name_is_refused(declare: RegisterOperation) -> None:
    nameless = type("Nameless", (Operation,), {"model": Thing})
    with pytest.raises(InvalidDeclaration, match=r"^Nameless\.name: '' is not"):
        registry.register(nameless)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "writes no column"),
        ({"nothing": 1}, "writes 'nothing', which trials.Thing does not have"),
        ({"id": 1}, "writes 'id', which cannot be set"),
        ({"doubled": 1}, "writes 'doubled', which cannot be set"),
        ({"tags": 1}, "writes 'tags', which cannot be set"),
        ({"friends": 1}, "writes 'friends', which cannot be set"),
        ({"note": F("owner__name")}, "joins another table"),
        ({"score": Count("note")}, "aggregates"),
        ({"score": NUMBER}, "uses a window function"),
        ({"note": F("no_such")}, "no_such"),
    ],
)
def test_changes_that_cannot_be_written_are_refused(
    declare: RegisterOperation, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidDeclaration, match=r"^trial") as refused:
        declare(make_operation(MISSING, changes))
    assert message in str(refused.value)


def test_a_foreign_key_may_be_named_by_its_column(declare: RegisterOperation) -> None:
    trial = declare(make_operation(Thing.objects.filter(owner=None), {"owner_id": F("score")}))
    assert fingerprint(build_operation(trial, {}, timezone.now()))


def test_a_column_of_the_parent_table_is_refused(declare: RegisterOperation) -> None:
    rows = SpecialThing.objects.filter(extra=None)
    with pytest.raises(InvalidDeclaration, match="note"):
        declare(make_operation(rows, {"note": Value("x")}))


def test_a_composite_primary_key_is_refused(declare: RegisterOperation) -> None:
    with pytest.raises(InvalidDeclaration, match=r"trials\.Composite has a composite primary key"):
        declare(make_operation(Composite.objects.filter(note=None), {"note": "x"}))


def test_rows_of_another_model_are_refused(declare: RegisterOperation) -> None:
    with pytest.raises(InvalidDeclaration, match="is over Tag, not Thing"):
        declare(make_operation(Tag.objects.all(), {"note": "x"}, model=Thing))


def test_a_per_row_operation_names_its_columns(declare: RegisterOperation) -> None:
    with pytest.raises(InvalidDeclaration, match="trial writes no column: give get_changes"):
        declare(make_row_operation(MISSING, lambda rows: {}))
    with pytest.raises(InvalidDeclaration, match="trial writes 'nope'"):
        declare(make_row_operation(MISSING, lambda rows: {}, "nope"))


class Params(forms.Form):
    a = forms.CharField()
    b = forms.IntegerField()
    c = forms.CharField(required=False)


@pytest.mark.parametrize(("example", "missing"), [({}, "a, b"), ({"a": "x"}, "b"), ({"b": 1, "c": "x"}, "a")])
def test_an_example_that_lacks_a_required_parameter_is_refused(
    declare: RegisterOperation, example: dict[str, Any], missing: str
) -> None:
    with pytest.raises(InvalidDeclaration, match=f"^trial: example lacks the parameters {missing}$"):
        declare(make_operation(MISSING, {"note": "x"}, Params=Params, example=example))


def test_a_declaration_whose_example_is_complete_is_accepted(declare: RegisterOperation) -> None:
    declare(make_operation(MISSING, {"note": "x"}, Params=Params, example={"a": "x", "b": 1}))


def test_an_unknown_operation_is_refused_with_the_known_names(declare: RegisterOperation) -> None:
    declare(make_operation(MISSING, {"note": "x"}))
    with pytest.raises(
        UnknownOperation, match=r"^No operation is called 'nope'; the registered ones: "
    ) as refused:
        registry.get_operation("nope")
    assert "trial" in str(refused.value)
