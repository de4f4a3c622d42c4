"""A column is written by one run at a time."""

from threading import Thread
from typing import Any

import pytest
from django.db import connection
from django.db.models import F

from ops import runs
from ops.exceptions import ColumnClaimed
from ops.models import Claim, Run
from tests.ops.conftest import Declare
from tests.ops.running import (
    Watched,
    create,
    execute,
    go,
    operation,
    per_row,
    player,
    somebody_waits,
    things,
    until,
)
from tests.trials.models import SpecialThing, TextKeyed, Thing

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

MISSING = Thing.objects.filter(note=None)
NOTES = operation(MISSING, {"note": "x"}, name="notes")
BOTH = operation(MISSING, {"score": 1, "note": "y"}, name="both")
SCORES = operation(Thing.objects.filter(score=0), {"score": 2}, name="scores")
EACH = per_row(MISSING, lambda rows: {row.pk: {"note": "z"} for row in rows}, "note", name="each")
OTHERS = operation(TextKeyed.objects.filter(note=None), {"note": "x"}, name="others")


def away(rows: list[Any]) -> dict[Any, Any]:
    raise ConnectionError("the maker of notes is away")


@pytest.mark.parametrize("second", [NOTES, BOTH, EACH])
def test_a_second_run_on_a_claimed_column_is_refused(declare: Declare, second: type) -> None:
    first = create(declare(NOTES))
    with pytest.raises(ColumnClaimed) as refused:
        create(declare(second))
    assert str(refused.value) == (
        f"trials.thing.note is being written by run {first.pk} (notes, queued)."
        f" Let that run end, or give it up:\n  To go on: manage.py runs resume {first.pk}\n"
        f"  To see it live: manage.py runs watch {first.pk}\n"
        f"  To give it up: manage.py runs cancel {first.pk}"
    )
    assert list(Run.objects.all()) == [first]
    assert Claim.objects.count() == 1


def test_other_columns_and_other_models_are_free(declare: Declare) -> None:
    for declared in (NOTES, SCORES, OTHERS):
        create(declare(declared))
    assert Claim.objects.count() == 3


def test_the_claim_ends_with_the_run(declare: Declare) -> None:
    things(2)
    execute(declare(NOTES))
    assert not Claim.objects.exists()
    execute(declare(EACH))


def test_a_paused_run_keeps_its_claim(declare: Declare) -> None:
    things(4)
    run = create(declare(NOTES), batch_size=2)
    go(run, Watched(lambda number: runs.pause(Run.objects.get())))
    with pytest.raises(ColumnClaimed, match=r"\(notes, paused\)"):
        create(declare(EACH))


def test_a_failed_run_lets_go_and_claims_again_when_it_goes_on(declare: Declare) -> None:
    things(2)
    failed = create(declare(per_row(MISSING, away, "note")))
    with pytest.raises(ConnectionError):
        go(failed)
    other = create(declare(NOTES))
    failed.refresh_from_db()
    with pytest.raises(ColumnClaimed, match=f"by run {other.pk} "):
        runs.requeue(failed)
    failed.refresh_from_db()
    assert failed.state == "failed"
    runs.cancel(other)
    runs.requeue(failed)
    assert list(Claim.objects.values_list("run", "column")) == [(failed.pk, "note")]


def test_a_proxy_claims_the_columns_of_its_table(declare: Declare) -> None:
    class Proxy(Thing):
        class Meta:
            proxy = True
            app_label = "trials"

    create(declare(NOTES))
    with pytest.raises(ColumnClaimed):
        create(declare(operation(Proxy.objects.filter(note=None), {"note": F("name")})))


def test_a_table_of_its_own_is_free(declare: Declare) -> None:
    create(declare(NOTES))
    create(declare(operation(SpecialThing.objects.filter(extra=None), {"extra": "x"})))


def test_a_run_that_fails_keeps_its_columns_until_the_last_batch_under_way_has_committed(
    declare: Declare,
) -> None:
    things(4)
    run = create(declare(NOTES))
    runs.start(run)
    failing = Thread(target=lambda: (runs.fail(Run.objects.get(), "no space left"), connection.close()))
    with player() as other:
        other.execute("SELECT FROM ops_lane FOR NO KEY UPDATE")  # as a batch has it
        failing.start()
        until(somebody_waits)
        assert Claim.objects.filter(run=run).exists()
        other.commit()
        failing.join()
    run.refresh_from_db()
    assert (run.state, run.error, Claim.objects.exists()) == ("failed", "no space left", False)
