"""A run resumes at its cursor: in another process, with its options, under the same declaration."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django import forms
from django.db.models import F, QuerySet, Value
from django.utils import timezone

from ops.exceptions import DeclarationChanged, UnknownOperation
from ops.models import Run
from ops.operations import Check, Operation, registry
from ops.runs import lifecycle
from tests.conftest import Manage
from tests.ops.conftest import RegisterOperation
from tests.ops.running import (
    BOTH,
    FILL,
    FILL_EACH,
    MISSING,
    RecordingMonitor,
    audited_changes,
    create_run,
    create_things,
    execute_operation,
    execute_run,
    make_operation,
    primary_keys,
)
from tests.trials.models import Thing

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]


class Crash(BaseException):
    """Raised past every error handler, as if the process died."""


@BOTH
@pytest.mark.parametrize("lanes", [1, 3])
def test_a_crash_between_batches_loses_nothing_and_repeats_nothing(
    declare: RegisterOperation, declared: Any, lanes: int
) -> None:
    rows = create_things(30)
    run = create_run(declare(declared), batch_size=4, lanes=lanes)

    def crash(number: int) -> None:
        if number == 3:
            raise Crash

    with pytest.raises(Crash):
        execute_run(run, RecordingMonitor(crash))
    fresh = lifecycle.get_run(run.pk)
    assert (fresh.state, len(audited_changes(fresh))) == (
        "running",
        12 if lanes == 1 else len(audited_changes(fresh)),
    )
    assert sum(lane.changed for lane in fresh.lanes.all()) == len(audited_changes(fresh))
    assert execute_run(fresh).state == "succeeded"
    assert audited_changes(fresh).keys() == primary_keys(rows)


@pytest.mark.parametrize(
    "changed",
    [
        make_operation(MISSING, {"note": Value("else")}),
        make_operation(Thing.objects.filter(note=None, score=0), {"note": F("name")}),
        make_operation(MISSING, {"note": F("name"), "score": 1}),
        make_operation(MISSING, {"note": F("name")}, version=2),
        FILL_EACH,
    ],
    ids=["value", "filter", "columns", "version", "kind"],
)
def test_a_changed_declaration_is_refused(declare: RegisterOperation, changed: Any) -> None:
    create_things(8)
    run = create_run(declare(FILL), batch_size=3)
    execute_run(run, RecordingMonitor(lambda number: lifecycle.pause(Run.objects.get())))
    declare(changed)
    with pytest.raises(DeclarationChanged) as error:
        lifecycle.requeue(run)
    assert str(error.value) == (
        f"The code of trial changed after run {run.pk} began, so the run cannot be resumed."
        f" Cancel it (manage.py runs cancel {run.pk}) and start again (manage.py operate trial)"
    )
    assert (Run.objects.get().state, len(audited_changes(run))) == ("paused", 3)
    lifecycle.cancel(run)
    assert run.state == "cancelled"


def test_the_same_declaration_written_anew_goes_on(declare: RegisterOperation) -> None:
    create_things(8)
    run = create_run(declare(FILL), batch_size=3)
    execute_run(run, RecordingMonitor(lambda number: lifecycle.pause(Run.objects.get())))
    declare(make_operation(Thing.objects.filter(note__isnull=True), {"note": F("name")}))
    lifecycle.requeue(run)
    assert execute_run(run).state == "succeeded"


def test_an_operation_that_is_gone_is_an_error(
    declare: RegisterOperation, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = create_run(declare(FILL))
    Run.objects.update(operation="gone")
    with pytest.raises(UnknownOperation, match="'gone'"):
        lifecycle.requeue(lifecycle.get_run(run.pk))


class AsOf(Operation):
    """Stamp each thing with the time of the run."""

    name = "as_of"
    model = Thing

    def get_queryset(self) -> QuerySet[Thing]:
        return Thing.objects.filter(note=None, updated_at__lt=self.as_of)

    def get_changes(self) -> dict[str, Any]:
        return {"note": Value(f"{self.as_of:%H:%M:%S}")}


def test_as_of_is_the_time_of_creation_however_late_the_resume(declare: RegisterOperation) -> None:
    rows = create_things(6)
    run = create_run(declare(AsOf), batch_size=2)
    assert run.as_of <= timezone.now()
    late = create_things(1)
    execute_run(run, RecordingMonitor(lambda number: lifecycle.pause(Run.objects.get())))
    lifecycle.requeue(fresh := lifecycle.get_run(run.pk))
    assert execute_run(fresh).state == "succeeded"
    assert audited_changes(run).keys() == primary_keys(rows)
    assert {change["note"]["new"] for change in audited_changes(run).values()} == {f"{run.as_of:%H:%M:%S}"}
    late[0].refresh_from_db()
    assert late[0].note is None


class Day(forms.Form):
    day = forms.DateField()


def test_raw_parameters_are_kept_and_read_again(declare: RegisterOperation) -> None:
    rows = create_things(3)

    def get_queryset(self: Operation) -> QuerySet[Thing]:
        return Thing.objects.filter(note=None, updated_at__date__gt=self.params["day"])

    trial = make_operation(
        MISSING, {"note": "x"}, Params=Day, example={"day": datetime(2024, 1, 1, tzinfo=UTC).date()}
    )
    run = create_run(
        declare(type("Trial", (trial,), {"get_queryset": get_queryset})), params={"day": "2024-02-29"}
    )
    fresh = lifecycle.get_run(run.pk)
    assert fresh.params == {"day": "2024-02-29"}
    assert execute_run(fresh).state == "succeeded"
    assert audited_changes(run).keys() == primary_keys(rows)


@pytest.mark.parametrize("count", [0, 2])
def test_checks_decide_whether_a_run_succeeded(declare: RegisterOperation, count: int) -> None:
    create_things(3), create_things(count, note="wrong")
    checks = [Check("wrong notes", Thing.objects.filter(note="wrong")), Check("none", Thing.objects.none())]
    run = execute_operation(
        declare(make_operation(MISSING, {"note": "x"}, get_checks=lambda self: checks, display_field="name"))
    )
    assert run.state == ("verification_failed" if count else "succeeded")
    assert run.checks == [
        {"label": "wrong notes", "found": count, "sample": ["t1", "t2"][:count]},
        {"label": "none", "found": 0, "sample": []},
    ]


@pytest.mark.parametrize("seed", ["0", "2"])
def test_another_process_finds_the_same_declaration(manage: Manage, seed: str) -> None:
    """A set in a filter (as in trials_annotate) has another order with another hash seed."""
    create_things(3)
    run = create_run(registry.get_operation("trials_annotate"))
    resumed = manage("runs", "resume", run.pk, env={"PYTHONHASHSEED": seed})
    assert (resumed.returncode, resumed.stderr) == (0, "")
