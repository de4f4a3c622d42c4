"""An operation whose changed rows still match its queryset would never end: it is stopped."""

from typing import Any

import pytest
from django.db.models import F

from ops.exceptions import NeverShrinks
from tests.ops.conftest import Declare
from tests.ops.running import audited, create, execute, go, operation, per_row, things
from tests.trials.models import Thing

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

LOW = Thing.objects.filter(score__lt=100)
RAISE = operation(LOW, {"score": F("score") + 1})
RAISE_EACH = per_row(LOW, lambda rows: {row.pk: {"score": row.score + 1} for row in rows}, "score")
BOTH = pytest.mark.parametrize("declared", [RAISE, RAISE_EACH], ids=["changes", "process"])


@BOTH
def test_it_is_stopped_before_anything_is_written(declare: Declare, declared: Any) -> None:
    things(20)
    run = create(declare(declared), batch_size=5)
    with pytest.raises(NeverShrinks, match="Nothing was changed") as stopped:
        go(run)
    assert "trial changed row " in str(stopped.value)
    run.refresh_from_db()
    assert run.state == "failed"
    assert run.error == f"NeverShrinks: {stopped.value}"
    assert audited(run) == {}
    assert not Thing.objects.exclude(score=0).exists()


@BOTH
def test_it_is_stopped_too_where_the_first_keys_hold_no_candidate(declare: Declare, declared: Any) -> None:
    things(300, score=500)
    things(20)
    run = create(declare(declared), batch_size=5)
    with pytest.raises(NeverShrinks):
        go(run)
    assert audited(run) == {}
    assert Thing.objects.filter(score=0).count() == 20


@BOTH
def test_one_row_that_does_not_shrink_is_enough(declare: Declare, declared: Any) -> None:
    things(3, score=99)
    things(1)
    with pytest.raises(NeverShrinks):
        execute(declare(declared))
    assert Thing.objects.filter(score=99).count() == 3


def test_one_that_changes_nothing_never_shrinks(declare: Declare) -> None:
    things(3)
    with pytest.raises(NeverShrinks):
        execute(declare(operation(Thing.objects.all(), {"note": F("name")})))
    assert not Thing.objects.exclude(note=None).exists()
