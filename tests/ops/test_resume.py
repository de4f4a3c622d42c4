"""A run goes on where it stood: in another process, as it was asked, under the declaration it began with."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django import forms
from django.db.models import F, QuerySet, Value
from django.utils import timezone

from ops import registry, runs
from ops.exceptions import ChangedDeclaration, UnknownOperation
from ops.models import Run
from ops.operation import Check, Operation
from tests.conftest import Manage
from tests.ops.conftest import Declare
from tests.ops.running import Watched, audited, create, execute, go, keys, operation, per_row, things
from tests.trials.models import Thing

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

MISSING = Thing.objects.filter(note=None)
FILL = operation(MISSING, {"note": F("name")})
FILL_EACH = per_row(MISSING, lambda rows: {row.pk: {"note": row.name} for row in rows}, "note")


class Crash(BaseException):
    """What no handler of errors sees, as the process dies."""


@pytest.mark.parametrize("declared", [FILL, FILL_EACH], ids=["changes", "process"])
@pytest.mark.parametrize("lanes", [1, 3])
def test_a_crash_between_batches_loses_nothing_and_repeats_nothing(
    declare: Declare, declared: Any, lanes: int
) -> None:
    rows = things(30)
    run = create(declare(declared), batch_size=4, lanes=lanes)

    def crash(number: int) -> None:
        if number == 3:
            raise Crash

    with pytest.raises(Crash):
        go(run, Watched(crash))
    fresh = runs.get(run.pk)
    assert (fresh.state, len(audited(fresh))) == ("running", 12 if lanes == 1 else len(audited(fresh)))
    assert sum(lane.changed for lane in fresh.lanes.all()) == len(audited(fresh))
    assert go(fresh).state == "succeeded"
    assert audited(fresh).keys() == keys(rows)


@pytest.mark.parametrize(
    "changed",
    [
        operation(MISSING, {"note": Value("else")}),
        operation(Thing.objects.filter(note=None, score=0), {"note": F("name")}),
        operation(MISSING, {"note": F("name"), "score": 1}),
        operation(MISSING, {"note": F("name")}, version=2),
        FILL_EACH,
    ],
    ids=["value", "filter", "columns", "version", "kind"],
)
def test_a_changed_declaration_is_refused(declare: Declare, changed: Any) -> None:
    things(8)
    run = create(declare(FILL), batch_size=3)
    go(run, Watched(lambda number: runs.pause(Run.objects.get())))
    declare(changed)
    with pytest.raises(ChangedDeclaration) as refused:
        runs.requeue(run)
    assert str(refused.value) == (
        f"trial is declared otherwise than when run {run.pk} began, so that run cannot go on."
        f" Cancel it (manage.py runs cancel {run.pk}) and start anew (manage.py operate trial)"
    )
    assert (Run.objects.get().state, len(audited(run))) == ("paused", 3)
    runs.cancel(run)
    assert run.state == "cancelled"


def test_the_same_declaration_written_anew_goes_on(declare: Declare) -> None:
    things(8)
    run = create(declare(FILL), batch_size=3)
    go(run, Watched(lambda number: runs.pause(Run.objects.get())))
    declare(operation(Thing.objects.filter(note__isnull=True), {"note": F("name")}))
    runs.requeue(run)
    assert go(run).state == "succeeded"


def test_an_operation_that_is_gone_is_told(declare: Declare, monkeypatch: pytest.MonkeyPatch) -> None:
    run = create(declare(FILL))
    Run.objects.update(operation="gone")
    with pytest.raises(UnknownOperation, match="'gone'"):
        runs.requeue(runs.get(run.pk))


class AsOf(Operation):
    """Stamp each thing with the time of the run."""

    name = "as_of"
    model = Thing

    def get_queryset(self) -> QuerySet[Thing]:
        return Thing.objects.filter(note=None, updated_at__lt=self.as_of)

    def get_changes(self) -> dict[str, Any]:
        return {"note": Value(f"{self.as_of:%H:%M:%S}")}


def test_the_time_is_that_of_the_runs_beginning_however_late_it_goes_on(declare: Declare) -> None:
    rows = things(6)
    run = create(declare(AsOf), batch_size=2)
    assert run.as_of <= timezone.now()
    late = things(1)
    go(run, Watched(lambda number: runs.pause(Run.objects.get())))
    runs.requeue(fresh := runs.get(run.pk))
    assert go(fresh).state == "succeeded"
    assert audited(run).keys() == keys(rows)
    assert {change["note"]["new"] for change in audited(run).values()} == {f"{run.as_of:%H:%M:%S}"}
    late[0].refresh_from_db()
    assert late[0].note is None


class Day(forms.Form):
    day = forms.DateField()


def test_raw_parameters_are_kept_and_read_again(declare: Declare) -> None:
    rows = things(3)

    def get_queryset(self: Operation) -> QuerySet[Thing]:
        return Thing.objects.filter(note=None, updated_at__date__gt=self.params["day"])

    trial = operation(
        MISSING, {"note": "x"}, Params=Day, example={"day": datetime(2024, 1, 1, tzinfo=UTC).date()}
    )
    run = create(
        declare(type("Trial", (trial,), {"get_queryset": get_queryset})), params={"day": "2024-02-29"}
    )
    fresh = runs.get(run.pk)
    assert fresh.params == {"day": "2024-02-29"}
    assert go(fresh).state == "succeeded"
    assert audited(run).keys() == keys(rows)


@pytest.mark.parametrize("found", [0, 2])
def test_checks_decide_whether_a_run_succeeded(declare: Declare, found: int) -> None:
    things(3), things(found, note="wrong")
    checks = [Check("wrong notes", Thing.objects.filter(note="wrong")), Check("none", Thing.objects.none())]
    run = execute(declare(operation(MISSING, {"note": "x"}, get_checks=lambda self: checks, label="name")))
    assert run.state == ("verification_failed" if found else "succeeded")
    assert run.checks == [
        {"label": "wrong notes", "found": found, "sample": ["t1", "t2"][:found]},
        {"label": "none", "found": 0, "sample": []},
    ]


@pytest.mark.parametrize("seed", ["0", "2"])
def test_another_process_finds_the_same_declaration(manage: Manage, seed: str) -> None:
    """A set in a filter (as in trials_annotate) has another order where the seed is another."""
    things(3)
    made = create(registry.get("trials_annotate"))
    done = manage("runs", "resume", made.pk, env={"PYTHONHASHSEED": seed})
    assert (done.returncode, done.stderr) == (0, "")
