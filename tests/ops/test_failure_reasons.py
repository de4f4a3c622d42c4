"""The errors that rows really fail with, in plain words."""

from typing import Any

import pytest
from django.db.models import CheckConstraint, F, Q, Value

from ops.admin.runs.failure_reasons import explain_failure
from ops.engine.failures import unchanged_reason
from tests.ops.conftest import RegisterOperation
from tests.ops.running import create_things, errors_by_object, execute_operation, execute_sql, make_operation
from tests.trials.models import Sort, Thing

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"short": Value("abcdef")}, "A new value has more than the 5 characters that its field allows."),
        ({"done": Value(None)}, "Done would be empty, and must not be."),
        ({"number": F("number") * 2}, "A new number is too large for its field."),
        ({"price": Value("99999")}, "A new number is too large for its field."),
        ({"number": F("number") / Value(0)}, "The new value is the result of a division by zero."),
        ({"owner_id": Value(7)}, "Owner would be “7”, which does not exist."),
    ],
)
def test_an_error_of_a_column_is_explained(
    declare: RegisterOperation, changes: dict[str, Any], reason: str
) -> None:
    Sort.objects.create(number=2**31 - 1)
    run = execute_operation(declare(make_operation(Sort.objects.filter(text=None), {"text": "x", **changes})))
    [error] = errors_by_object(run).values()
    assert explain_failure(error, Sort) == reason


def test_a_broken_rule_is_explained_by_the_constraint(
    declare: RegisterOperation, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_things(1)
    run = execute_operation(declare(make_operation(Thing.objects.filter(score=0), {"score": 5000})))
    [error] = errors_by_object(run).values()
    assert explain_failure(error, Thing) == "The new value breaks the rule “trials thing score small”."
    said = CheckConstraint(
        condition=Q(), name="trials_thing_score_small", violation_error_message="A score is below 1,000."
    )
    monkeypatch.setattr(Thing._meta, "constraints", [said])
    assert explain_failure(error, Thing) == "A score is below 1,000."


def test_a_value_that_another_row_has_is_explained(declare: RegisterOperation) -> None:
    create_things(2)
    execute_sql("CREATE UNIQUE INDEX trials_note_uniq ON trials_thing (note)")
    try:
        run = execute_operation(declare(make_operation(Thing.objects.filter(note=None), {"note": "same"})))
    finally:
        execute_sql("DROP INDEX trials_note_uniq")
    [error] = errors_by_object(run).values()
    assert explain_failure(error, Thing) == "Note would be “same”, which another thing has."


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("locked for 3 s by process 4711 (psql, idle)", "Somebody else was changing the thing all the time."),
        (unchanged_reason(1), "The database kept the old value: a rule of its own protects it."),
        ("the picture is missing\nTraceback", "the picture is missing"),
    ],
)
def test_other_errors_are_explained_or_kept(error: str, reason: str) -> None:
    assert explain_failure(error, Thing) == reason
