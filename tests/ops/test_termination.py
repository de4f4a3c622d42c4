"""An operation whose changed rows still match its queryset would never end: it is stopped."""

from typing import Any

import pytest
from django.db.models import F

from ops.exceptions import NonTerminating
from tests.ops.conftest import RegisterOperation
from tests.ops.running import (
    audited_changes,
    create_run,
    create_things,
    execute_operation,
    execute_run,
    make_operation,
    make_row_operation,
    parametrize_both,
)
from tests.trials.models import Thing

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

LOW = Thing.objects.filter(score__lt=100)
RAISE = make_operation(LOW, {"score": F("score") + 1})
RAISE_EACH = make_row_operation(LOW, lambda rows: {row.pk: {"score": row.score + 1} for row in rows}, "score")
BOTH = parametrize_both(RAISE, RAISE_EACH)


@BOTH
def test_it_is_stopped_before_anything_is_written(declare: RegisterOperation, declared: Any) -> None:
    create_things(20)
    run = create_run(declare(declared), batch_size=5)
    with pytest.raises(NonTerminating, match="Nothing was changed") as error:
        execute_run(run)
    assert "trial changed row " in str(error.value)
    run.refresh_from_db()
    assert run.state == "failed"
    assert (run.error, run.error_code) == (f"NeverShrinks: {error.value}", "NeverShrinks")
    assert audited_changes(run) == {}
    assert not Thing.objects.exclude(score=0).exists()


def test_a_new_value_of_null_is_told(declare: RegisterOperation) -> None:
    create_things(1)
    empty = make_operation(Thing.objects.filter(note=None), {"note": F("note")})
    with pytest.raises(NonTerminating, match=r"would never end\. Its new note is NULL\. Make get_queryset"):
        execute_run(create_run(declare(empty)))


@BOTH
def test_it_is_stopped_too_if_the_first_keys_are_no_candidates(
    declare: RegisterOperation, declared: Any
) -> None:
    create_things(300, score=500)
    create_things(20)
    run = create_run(declare(declared), batch_size=5)
    with pytest.raises(NonTerminating):
        execute_run(run)
    assert audited_changes(run) == {}
    assert Thing.objects.filter(score=0).count() == 20


@BOTH
def test_one_row_that_still_matches_is_enough(declare: RegisterOperation, declared: Any) -> None:
    create_things(3, score=99)
    create_things(1)
    with pytest.raises(NonTerminating):
        execute_operation(declare(declared))
    assert Thing.objects.filter(score=99).count() == 3


def test_an_operation_that_changes_nothing_is_stopped(declare: RegisterOperation) -> None:
    create_things(3)
    with pytest.raises(NonTerminating):
        execute_operation(declare(make_operation(Thing.objects.all(), {"note": F("name")})))
    assert not Thing.objects.exclude(note=None).exists()
