"""Runs over some of the rows: a filter, or certain keys."""

import uuid
from collections.abc import Mapping

import pytest
from django.db.models import F

from ops.creation import Request
from ops.exceptions import InvalidScope
from ops.models import Key
from ops.preview import preview
from ops.scope import Scope
from tests.ops.conftest import Declare
from tests.ops.running import audited, create, execute, go, keys, operation, per_row, things
from tests.trials.models import Owner, TextKeyed, Thing, UuidKeyed

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

MISSING = Thing.objects.filter(note=None)
FILL = operation(MISSING, {"note": F("name")})
FILL_EACH = per_row(MISSING, lambda rows: {row.pk: {"note": row.name} for row in rows}, "note")


@pytest.mark.parametrize("declared", [FILL, FILL_EACH], ids=["changes", "process"])
def test_a_filter_narrows_the_run_its_total_and_its_preview(declare: Declare, declared: type) -> None:
    rows = things(3, score=1) + things(4, score=2)
    scope = Scope(filter={"score": "2"})
    assert preview(Request(declare(declared), "me", scope=scope)).total == 4
    run = execute(declared, scope=scope)
    assert (run.total, audited(run).keys()) == (4, keys(rows[3:]))
    assert run.scope == {"filter": {"score": "2"}, "keys": False}


def test_filters_are_all_to_hold(declare: Declare) -> None:
    rows = things(4, score=2)
    run = execute(declare(FILL), scope=Scope(filter={"score": "2", "name": "t3"}))
    assert audited(run).keys() == {str(rows[2].pk)}


def test_a_filter_may_name_a_foreign_key(declare: Declare) -> None:
    owner = Owner.objects.create(name="Ana")
    mine, _ = things(1, owner=owner) + things(1)
    run = execute(declare(FILL), scope=Scope(filter={"owner": str(owner.pk)}))
    assert audited(run).keys() == {str(mine.pk)}


@pytest.mark.parametrize("declared", [FILL, FILL_EACH], ids=["changes", "process"])
def test_keys_narrow_the_run_and_are_kept_in_their_table(declare: Declare, declared: type) -> None:
    rows = things(6)
    wanted = [rows[1], rows[4]]
    run = create(declare(declared), scope=Scope.of_keys(row.pk for row in wanted))
    assert set(Key.objects.values_list("run", "object_id")) == {(run.pk, str(row.pk)) for row in wanted}
    go(run)
    assert (run.state, run.total, audited(run).keys()) == ("succeeded", 2, keys(wanted))


def test_keys_of_text_and_uuid_find_their_rows(declare: Declare) -> None:
    TextKeyed.objects.bulk_create(TextKeyed(code=code) for code in ("a'%", "b", "c"))
    run = execute(
        declare(operation(TextKeyed.objects.filter(note=None), {"note": "x"})),
        scope=Scope.of_keys(["a'%", "c"]),
    )
    assert audited(run).keys() == {"a'%", "c"}
    row, _ = UuidKeyed.objects.create(), UuidKeyed.objects.create()
    run = execute(
        declare(operation(UuidKeyed.objects.filter(note=None), {"note": "x"})), scope=Scope.of_keys([row.pk])
    )
    assert audited(run).keys() == {str(row.pk)}


def test_no_keys_are_no_rows(declare: Declare) -> None:
    things(3)
    run = execute(declare(FILL), scope=Scope.of_keys([]))
    assert (run.state, run.total, audited(run)) == ("succeeded", 0, {})


def test_a_key_that_is_not_there_is_nothing(declare: Declare) -> None:
    rows = things(2)
    run = execute(declare(FILL), scope=Scope.of_keys([rows[0].pk, 999_999_999]))
    assert (run.total, audited(run).keys()) == (1, {str(rows[0].pk)})


COLUMNS = "id, name, note, score, owner, doubled, updated_at"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"nope": "1"}, f"trials.Thing has no column 'nope'; it has {COLUMNS}"),
        ({"owner__name": "x"}, "trials.Thing has no column 'owner__name'"),
        ({"score__gt": "1"}, "trials.Thing has no column 'score__gt'"),
        ({"tags": "1"}, "trials.Thing has no column 'tags'"),
        ({"friends": "1"}, "trials.Thing has no column 'friends'"),
        ({"score": "many"}, "score=many: “many” value must be an integer."),
        ({"owner": "Ana"}, "owner=Ana: “Ana” value must be an integer."),
        ({"updated_at": "soon"}, "updated_at=soon: “soon” value has an invalid format."),
    ],
)
def test_a_filter_that_the_model_cannot_have_is_refused(
    declare: Declare, asked: Mapping[str, str], words: str
) -> None:
    request = Request(declare(FILL), "me", scope=Scope(filter=asked))
    with pytest.raises(InvalidScope) as refused:
        preview(request)
    assert str(refused.value).startswith(words)
    with pytest.raises(InvalidScope):
        create(FILL, scope=request.scope)


def test_keys_that_the_model_cannot_have_are_refused(declare: Declare) -> None:
    with pytest.raises(InvalidScope, match="abc"):
        create(declare(FILL), scope=Scope.of_keys(["abc"]))
    with pytest.raises(InvalidScope, match="abc"):
        create(
            declare(operation(UuidKeyed.objects.filter(note=None), {"note": "x"})),
            scope=Scope.of_keys(["abc"]),
        )


def test_a_uuid_in_capitals_is_the_same_key(declare: Declare) -> None:
    row = UuidKeyed.objects.create(pk=uuid.UUID("abcdefab-cdef-abcd-efab-cdefabcdefab"))
    missing = UuidKeyed.objects.filter(note=None)
    run = execute(declare(operation(missing, {"note": "x"})), scope=Scope.of_keys([str(row.pk).upper()]))
    assert (run.total, audited(run).keys()) == (1, {str(row.pk)})
