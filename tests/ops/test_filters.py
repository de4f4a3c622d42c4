"""Conditions of --filter as typed: NULL, lists, JSON, times, and what is refused."""

import datetime as dt
import warnings

import pytest
from django.db.models import JSONField, Value

from ops.exceptions import InvalidScope
from ops.models import Run
from ops.operations.filters import build_filter_kwargs
from ops.operations.scope import Scope
from tests.manage import Manage
from tests.ops.running import create_things
from tests.trials.models import Owner, Sort, Thing

pytestmark = pytest.mark.django_db(transaction=True)

MOMENT = dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC)


def select(**conditions: str) -> list[str]:
    return [*Scope(conditions).apply(Sort.objects.order_by("pk")).values_list("text", flat=True)]


@pytest.fixture
def sorts() -> None:
    owner = Owner.objects.create(pk=7, name="Ana")
    Sort.objects.create(
        text="full", number=5, price="1.50", ratio=0.5, flag=True, day="2024-02-29", moment=MOMENT,
        words=["a", "b"], data={"a": 1}, owner=owner, short="a,b",
    )  # fmt: skip
    Sort.objects.create(
        text="half", number=6, flag=False, words=["a"], data=Value(None, JSONField()), short=""
    )
    Sort.objects.create(text="none", done=True)


@pytest.mark.usefixtures("sorts")
@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("short=", "half"),
        ("short__isnull=true", "none"),
        ("short__isnull=False", "full half"),
        ("short=a,b", "full"),
        ('short__in="a,b",', "full half"),
        ("text__in=none,full", "full none"),
        ("number=5", "full"),
        ("number__in=5, 6", "full half"),
        ("number__isnull=1", "none"),
        ("number=99999999999999999999", ""),
        ("price=1.5", "full"),
        ("ratio=5e-1", "full"),
        ("flag=true", "full"),
        ("flag=FALSE", "half"),
        ("done=yes", "none"),
        ("flag__isnull=yes", "none"),
        ("day=2024-02-29", "full"),
        ("moment=2024-02-29T12:00:00Z", "full"),
        ("moment=2024-02-29 12:00", "full"),
        ("words__contains=a", "full half"),
        ("words__contains=b,a", "full"),
        ('words=["a"]', "half"),
        ("words__isnull=true", "none"),
        ('data={"a": 1}', "full"),
        ('data__contains={"a": 1}', "full"),
        ("data=null", "half"),
        ("data__isnull=true", "none"),
        ("owner=7", "full"),
        ("owner_id=7", "full"),
        ("owner__isnull=true", "half none"),
    ],
)
def test_a_filter_selects_the_rows(condition: str, rows: str) -> None:
    name, _, text = condition.partition("=")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert select(**{name: text}) == rows.split()


@pytest.mark.usefixtures("sorts")
def test_none_asks_for_sql_null_in_a_json_column_too() -> None:
    assert [*Scope({"data": None}).apply(Sort.objects.all()).values_list("text", flat=True)] == ["none"]


COLUMNS = ", ".join(field.name for field in Sort._meta.concrete_fields)
NO_LIST = (
    "the column is a list. If it must contain the value: words__contains=a."
    """ If it must contain nothing else: words='["a"]'."""
)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("words=a", f"words=a: {NO_LIST}"),
        ("words=1", "words=1: the column is a list. If it must contain the value: words__contains=1."),
        ("data=rare", "data=rare: type JSON; a text needs quotes: "),
        ("data__contains=rare", "data__contains=rare: type JSON; a text needs quotes: "),
        ("data__in=1,2", "data__in=1,2: __in cannot be used with lists and JSON."),
        ("number=", "number=: “” value must be an integer. For NULL: number__isnull=true"),
        ("number=NULL", "number=NULL: “NULL” value must be an integer. For NULL: number__isnull=true"),
        ("flag=", "flag=: type true or false. For NULL: flag__isnull=true"),
        ("day=null", "day=null: “null” value has an invalid date format."),
        ("code=x", "code=x: “x” is not a valid UUID."),
        ("number__in=5,x", "number__in=5,x: “x” value must be an integer."),
        ('text__in="a', 'text__in="a: unexpected end of data'),
        ("text__isnull=maybe", "text__isnull=maybe: type true or false."),
        ("text__contains=a", "text__contains=a: __contains can be used only with lists and JSON."),
        (
            "number__gt=5",
            f"trials.Sort has no column 'number__gt'; it has {COLUMNS}. For number, type number=VALUE, or ",
        ),
        ("text=\udcff", "text=\\udcff: this is not UTF-8."),
        ("text=\0", "text=\\u0000: a text cannot contain a NUL character."),
    ],
)
def test_a_filter_that_is_refused_says_what_to_type(condition: str, message: str) -> None:
    name, _, text = condition.partition("=")
    with pytest.raises(InvalidScope) as refused:
        build_filter_kwargs(Sort, {name: text})
    assert str(refused.value).startswith(message)


def test_the_command_line_can_ask_for_null(manage: Manage) -> None:
    create_things(2, note="x"), create_things(3)
    request = ("operate", "trials_score", "--score", "5", "--filter", "note__isnull=true")
    executed = manage(*request, "--execute")
    assert (executed.returncode, Thing.objects.filter(score=5, note=None).count()) == (0, 3)
    assert Thing.objects.filter(score=5).count() == 3
    assert "note__isnull=true" in manage("runs", "show", Run.objects.get().pk).stdout
    refused = manage(*request[:-1], "note")
    assert "'note' is not COLUMN=VALUE; COLUMN__isnull=true for NULL" in refused.stderr
