"""A preview tells what a run would do, and can do nothing itself."""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import BooleanField, F, Func, IntegerField, JSONField, Value
from django.db.models.functions import Cast, Concat

from ops.exceptions import InvalidDeclaration, InvalidParams, WriteInReadOnlyTransaction
from ops.models import AuditLog, Claim, Run
from ops.operations import registry
from ops.operations.revert import Revert
from ops.report.preview import as_lines
from ops.runs import creation
from ops.runs.creation import RunRequest
from ops.runs.preview import Sample, build_preview
from ops.runs.rebuild import rebuild_operation
from tests.ops.conftest import RegisterOperation
from tests.ops.running import (
    create_run,
    create_things,
    execute_operation,
    execute_run,
    execute_sql,
    make_operation,
    make_row_operation,
)
from tests.trials.models import Sort, Thing
from tests.trials.operations import SetScore

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

MISSING = Thing.objects.filter(note=None)
NAMING = {"group_by": "score", "display_field": "name"}
FILL = make_operation(MISSING, {"note": Concat("name", Value("!")), "score": F("score") + 1}, **NAMING)


def test_it_counts_groups_and_samples(declare: RegisterOperation) -> None:
    (
        create_things(3, score=1),
        create_things(6, score=2),
        create_things(1, score=0),
        create_things(5, note="x"),
    )
    preview = build_preview(RunRequest(declare(FILL), "me"))
    assert (preview.total, preview.breakdown) == (10, [(2, 6), (1, 3), (0, 1)])
    assert preview.samples[:2] == [
        Sample("t1", {"note": (None, "t1!"), "score": (1, 2)}),
        Sample("t2", {"note": (None, "t2!"), "score": (1, 2)}),
    ]
    assert len(preview.samples) == 5


def test_process_is_not_called_and_only_old_values_are_shown(declare: RegisterOperation) -> None:
    create_things(1, score=3)
    calls: list[Any] = []
    preview = build_preview(
        RunRequest(declare(make_row_operation(MISSING, calls.append, "note", "score", **NAMING)), "me")
    )
    assert preview.samples == [Sample("t1", {"note": (None,), "score": (3,)})]
    assert calls == []


def test_it_says_that_process_computes_the_new_values_later(declare: RegisterOperation) -> None:
    made = declare(make_row_operation(MISSING, dict, "note", **NAMING))
    assert build_preview(RunRequest(made, "me")).notes == []
    create_things(1)
    [note] = build_preview(RunRequest(made, "me")).notes
    assert note == "The preview cannot show the new values: the run computes them."
    assert "    t1  note: NULL -> (computed by the run)" in preview_lines(made)
    Thing.objects.update(note="")
    emptied = declare(make_row_operation(Thing.objects.filter(note=""), dict, "note", **NAMING))
    assert "    t1  note: (computed by the run)" in preview_lines(emptied)


def preview_lines(operation: Any, **params: Any) -> list[str]:
    return as_lines(build_preview(RunRequest(operation, "me", params=params)), "x")


def test_a_second_revert_names_the_first_one() -> None:
    rows = create_things(4)
    run = execute_operation(registry.get_operation("trials_annotate"))
    Thing.objects.filter(pk=rows[0].pk).update(note="mine")
    rows[1].delete()
    first = execute_operation(Revert, params={"run": run.pk})
    kept = f"2 things were changed or deleted after run {run.pk}, so they will not be reverted"
    reverted = f"Run {first.pk} already reverted 2 things of run {run.pk}."
    assert preview_lines(Revert, run=run.pk)[-3:] == [
        "There is nothing to revert.", f"  note  {reverted}", f"  note  {kept}",
    ]  # fmt: skip
    second = execute_operation(Revert, params={"run": run.pk})
    notes = list(rebuild_operation(second).get_notes(second))
    assert (notes[0], "such as" in notes[1], len(notes)) == (reverted, True, 2)


def test_a_revert_of_a_revert_names_rows_as_the_first_run_did() -> None:
    create_things(1)
    run = execute_operation(registry.get_operation("trials_annotate"))
    revert = execute_operation(Revert, params={"run": run.pk})
    [sample] = build_preview(RunRequest(Revert, "me", params={"run": revert.pk})).samples
    assert sample.label == "t1"
    execute_operation(Revert, params={"run": revert.pk})
    assert build_preview(RunRequest(Revert, "me", params={"run": run.pk})).notes == []


SORTS = Sort.objects.filter(done=False)
TOO_LONG = "is longer than the 5 characters that the column allows"
REJECTED: list[tuple[dict[str, Any], str]] = [
    ({"short": Value("abcdef")}, f"the new short {TOO_LONG}"),
    ({"short": F("text")}, f"the new short {TOO_LONG}"),
    ({"words": ["ok", "abcdef"]}, f"the new words {TOO_LONG}"),
    (
        {"price": Value(Decimal("9999.995"))},
        "the new price has more than the 4 digits before the decimal point that the column allows",
    ),
    ({"done": Value(None)}, "the new done would be NULL, which the column does not allow"),
    ({"number": F("number") / Value(0)}, "cannot be computed, and these rows would fail: division by zero"),
    ({"number": F("number") * 2}, "cannot be computed, and these rows would fail: integer out of range"),
    ({"number": Cast("text", IntegerField())}, "would fail: invalid input syntax for type integer"),
]


@pytest.mark.parametrize(("changes", "message"), REJECTED)
def test_it_says_which_new_values_their_columns_reject(
    declare: RegisterOperation, changes: dict[str, Any], message: str
) -> None:
    Sort.objects.create(text="way too long", number=2**31 - 1, done=False)
    trial = declare(make_operation(SORTS, changes))
    preview = build_preview(RunRequest(trial, "me"))
    assert [message in note for note in preview.notes] == [True]
    assert "would fail" in preview.notes[0]
    assert preview.samples[0].values.keys() == changes.keys()
    assert execute_operation(trial).state == "finished_with_failures", "as was foreseen"


@pytest.mark.parametrize(
    "changes",
    [
        {"short": Value("abcde   "), "words": ["abcde"], "price": Value(Decimal("9999.994"))},
        {"short": Value("ñandú"), "words": [], "data": Value(None, JSONField())},
        {"short": Value(None), "price": Value(None), "text": Value("x" * 100_000)},
    ],
)
def test_it_says_nothing_of_values_that_their_columns_accept(
    declare: RegisterOperation, changes: dict[str, Any]
) -> None:
    row = Sort.objects.create()
    trial = declare(
        make_operation(Sort.objects.filter(day=None), {**changes, "day": Value(date(2000, 1, 1))})
    )
    assert build_preview(RunRequest(trial, "me")).notes == []
    assert (execute_operation(trial).state, Sort.objects.get().pk) == ("succeeded", row.pk)


def test_it_counts_the_rejected_of_the_first_rows_and_names_one(declare: RegisterOperation) -> None:
    create_things(9), Thing.objects.create(name="much too long")
    trial = declare(make_operation(MISSING, {"note": F("name")}, display_field="name"))
    [note] = build_preview(RunRequest(trial, "me")).notes
    assert note.startswith("1 of the first 10 rows would fail, such as much too long: the new note is longer")


@pytest.mark.parametrize("begin", [build_preview, creation.create_run])
def test_types_that_do_not_match_are_refused_before_a_run(declare: RegisterOperation, begin: Any) -> None:
    trial = declare(make_operation(MISSING, {"score": F("score") + F("name")}))
    with pytest.raises(InvalidDeclaration, match=r"^trial: PostgreSQL rejects its statement: operator"):
        begin(RunRequest(trial, "me"))
    assert not Run.objects.exists()


def test_it_counts_without_a_breakdown_and_names_rows_by_their_key(declare: RegisterOperation) -> None:
    (row,) = create_things(1)
    preview = build_preview(RunRequest(declare(make_operation(MISSING, {"note": F("name")})), "me"))
    assert (preview.total, preview.breakdown, preview.samples[0].label) == (1, [], str(row.pk))


def test_no_rows_to_change_is_an_empty_preview(declare: RegisterOperation) -> None:
    preview = build_preview(RunRequest(declare(FILL), "me"))
    assert (preview.total, preview.breakdown, preview.samples, preview.duration) == (0, [], [], timedelta())


def test_it_writes_nothing(declare: RegisterOperation) -> None:
    create_things(3)
    build_preview(RunRequest(declare(FILL), "me"))
    assert [model for model in (Run, Claim, AuditLog) if model.objects.exists()] == []
    assert Thing.objects.filter(note=None, score=0).count() == 3


def test_a_run_changes_the_rows_of_its_preview(declare: RegisterOperation) -> None:
    create_things(7)
    preview = build_preview(RunRequest(declare(FILL), "me"))
    run = execute_operation(FILL)
    assert preview.total == run.total == AuditLog.objects.filter(run=run).count()


@pytest.fixture
def meddling(transactional_db: None) -> Iterator[None]:
    """A function with a side effect, for a queryset to call."""
    execute_sql(
        "CREATE FUNCTION trial_meddle(bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN"
        " UPDATE trials_thing SET note = 'meddled'; RETURN true; END $$"
    )
    yield
    execute_sql("DROP FUNCTION trial_meddle")


@pytest.mark.usefixtures("meddling")
@pytest.mark.parametrize("locks", [False, True])
def test_a_queryset_that_writes_is_refused_by_the_database(declare: RegisterOperation, locks: bool) -> None:
    create_things(2)
    meddles = Func(F("id"), function="trial_meddle", output_field=BooleanField())
    rows = Thing.objects.annotate(done=meddles).filter(done=True)
    with pytest.raises(WriteInReadOnlyTransaction, match="read-only transaction"):
        build_preview(RunRequest(declare(make_operation(rows, {"note": "x"})), "me"))
    assert not Thing.objects.filter(note="meddled").exists()
    Thing.objects.create(name="writes again")


def test_wrong_parameters_are_refused(declare: RegisterOperation) -> None:
    with pytest.raises(InvalidParams, match="score: Ensure this value is less than or equal to 2000"):
        build_preview(RunRequest(SetScore, "me", params={"score": "9999"}))
    with pytest.raises(InvalidParams, match="shoe: there is no such parameter"):
        build_preview(RunRequest(SetScore, "me", params={"score": "1", "shoe": "x"}))


def test_the_rate_is_that_of_the_newest_run_of_the_operation(declare: RegisterOperation) -> None:
    create_things(1000)
    declare(FILL)
    assert (
        build_preview(RunRequest(FILL, "me")).rate_source_run,
        build_preview(RunRequest(FILL, "me")).rate,
    ) == (None, 10_000)
    run = execute_operation(FILL)
    execute_operation(FILL)  # changes no row, so it does not count
    Run.objects.filter(pk=run.pk).update(worked=timedelta(seconds=2))
    create_things(6)
    preview = build_preview(RunRequest(FILL, "me"))
    assert (preview.rate_source_run, preview.rate, preview.duration) == (
        run.pk,
        500.0,
        timedelta(seconds=6 / 500),
    )


def test_it_works_while_a_run_is_active(declare: RegisterOperation) -> None:
    create_things(3)
    run = create_run(declare(FILL))
    assert build_preview(RunRequest(FILL, "me")).total == 3
    execute_run(run)
