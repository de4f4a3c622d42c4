"""A column is written by one run at a time."""

from threading import Thread
from typing import Any

import pytest
from django.db import connection
from django.db.models import F

from ops.exceptions import ColumnClaimed
from ops.models import Claim, Run
from ops.runs import lifecycle
from tests.ops.conftest import RegisterOperation
from tests.ops.running import (
    RecordingMonitor,
    create_run,
    create_things,
    execute_operation,
    execute_run,
    is_lock_awaited,
    make_operation,
    make_row_operation,
    player,
    wait_until,
)
from tests.trials.models import SpecialThing, TextKeyed, Thing

pytestmark = pytest.mark.django_db(transaction=True)

MISSING = Thing.objects.filter(note=None)
NOTES = make_operation(MISSING, {"note": "x"}, name="notes")
BOTH = make_operation(MISSING, {"score": 1, "note": "y"}, name="both")
SCORES = make_operation(Thing.objects.filter(score=0), {"score": 2}, name="scores")
EACH = make_row_operation(MISSING, lambda rows: {row.pk: {"note": "z"} for row in rows}, "note", name="each")
OTHERS = make_operation(TextKeyed.objects.filter(note=None), {"note": "x"}, name="others")


def away(rows: list[Any]) -> dict[Any, Any]:
    raise ConnectionError("the maker of notes is away")


@pytest.mark.engine
@pytest.mark.parametrize("second", [NOTES, BOTH, EACH])
def test_a_second_run_on_a_claimed_column_is_refused(declare: RegisterOperation, second: type) -> None:
    first = create_run(declare(NOTES))
    with pytest.raises(ColumnClaimed) as refused:
        create_run(declare(second))
    assert str(refused.value) == (
        f"Run {first.pk} (notes, queued) has reserved trials.thing.note. Let it finish, or cancel it:\n"
        f"  To start it in this terminal: manage.py runs resume {first.pk}\n"
        f"  To see it live: manage.py runs watch {first.pk}\n"
        f"  To cancel it: manage.py runs cancel {first.pk}"
    )
    assert list(Run.objects.all()) == [first]
    assert Claim.objects.count() == 1


def test_other_columns_and_other_models_are_not_claimed(declare: RegisterOperation) -> None:
    for declared in (NOTES, SCORES, OTHERS):
        create_run(declare(declared))
    assert Claim.objects.count() == 3


def test_the_claim_ends_with_the_run(declare: RegisterOperation) -> None:
    create_things(2)
    execute_operation(declare(NOTES))
    assert not Claim.objects.exists()
    execute_operation(declare(EACH))


def test_a_paused_run_keeps_its_claim(declare: RegisterOperation) -> None:
    create_things(4)
    run = create_run(declare(NOTES), batch_size=2)
    execute_run(run, RecordingMonitor(lambda number: lifecycle.pause(Run.objects.get())))
    with pytest.raises(ColumnClaimed, match=r"\(notes, paused\)"):
        create_run(declare(EACH))


def test_a_failed_run_claims_its_columns_again_when_resumed(declare: RegisterOperation) -> None:
    create_things(2)
    failed = create_run(declare(make_row_operation(MISSING, away, "note")))
    with pytest.raises(ConnectionError):
        execute_run(failed)
    other = create_run(declare(NOTES))
    failed.refresh_from_db()
    with pytest.raises(ColumnClaimed, match=f"^Run {other.pk} .* has reserved "):
        lifecycle.requeue(failed)
    failed.refresh_from_db()
    assert failed.state == "failed"
    lifecycle.cancel(other)
    lifecycle.requeue(failed)
    assert list(Claim.objects.values_list("run", "column")) == [(failed.pk, "note")]


def test_a_proxy_claims_the_columns_of_its_table(declare: RegisterOperation) -> None:
    class Proxy(Thing):
        class Meta:
            proxy = True
            app_label = "trials"

    create_run(declare(NOTES))
    with pytest.raises(ColumnClaimed):
        create_run(declare(make_operation(Proxy.objects.filter(note=None), {"note": F("name")})))


def test_a_childs_own_table_is_not_claimed(declare: RegisterOperation) -> None:
    create_run(declare(NOTES))
    create_run(declare(make_operation(SpecialThing.objects.filter(extra=None), {"extra": "x"})))


@pytest.mark.engine
def test_a_failing_run_keeps_its_claims_until_its_batches_commit(
    declare: RegisterOperation,
) -> None:
    create_things(4)
    run = create_run(declare(NOTES))
    lifecycle.start(run)
    failing = Thread(target=lambda: (lifecycle.fail(Run.objects.get(), "no space left"), connection.close()))
    with player() as other:
        other.execute("SELECT FROM ops_lane FOR NO KEY UPDATE")  # as a batch has it
        failing.start()
        wait_until(is_lock_awaited)
        assert Claim.objects.filter(run=run).exists()
        other.commit()
        failing.join()
    run.refresh_from_db()
    assert (run.state, run.error, Claim.objects.exists()) == ("failed", "no space left", False)
