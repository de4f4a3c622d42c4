"""What became of the rows that a run changed: restored by which runs, and what is left to revert."""

from typing import Any

import pytest

from cards.models import Card
from ops.models import Run
from ops.operations import registry
from ops.operations.revert import Revert
from ops.operations.scope import Scope
from ops.runs.next_steps import RunAction
from ops.runs.reverts import read_reversal, read_reversals
from ops.runs.status import read_run_status
from tests.ops.change_setting import apply, make_card, stage
from tests.ops.running import create_run, create_things, execute_operation
from tests.trials.models import Thing

pytestmark = pytest.mark.django_db(transaction=True)


def annotate() -> Run:
    return execute_operation(registry.get_operation("trials_annotate"))


def revert(run: Run, **options: Any) -> Run:
    return execute_operation(Revert, params={"run": run.pk}, **options)


def is_revertible(run: Run) -> bool:
    return read_run_status(run).allows(RunAction.REVERT)


def test_a_reverted_run_has_nothing_left_to_revert() -> None:
    create_things(3)
    run = annotate()
    assert is_revertible(run)
    assert not read_reversal(run).is_complete
    first = revert(run)
    assert (read_reversal(run).restored, read_reversal(run).is_complete) == ({first.pk: 3}, True)
    assert not is_revertible(run)
    assert is_revertible(first)


def test_after_the_revert_of_its_revert_a_run_stands_again() -> None:
    create_things(2)
    run = annotate()
    first = revert(run)
    second = revert(first)
    assert (read_reversal(run).restored, read_reversal(run).left) == ({}, 2)
    assert (is_revertible(run), is_revertible(first), is_revertible(second)) == (True, False, True)
    third = revert(run)
    assert read_reversal(run).restored == {third.pk: 2}


def test_a_revert_of_some_rows_leaves_the_others_to_revert() -> None:
    rows = create_things(3)
    run = annotate()
    first = revert(run, scope=Scope.of_keys([rows[0].pk]))
    assert (read_reversal(run).left, read_reversal(run).is_complete, is_revertible(run)) == (2, False, True)
    rest = revert(run)
    assert read_reversal(run).restored == {first.pk: 1, rest.pk: 2}
    assert not is_revertible(run)


def test_rows_changed_after_a_run_are_not_left_to_revert() -> None:
    rows = create_things(3)
    run = annotate()
    Thing.objects.filter(pk=rows[0].pk).update(note="mine")
    revert(run)
    assert (read_reversal(run).left, is_revertible(run)) == (1, False)
    Thing.objects.filter(pk=rows[0].pk).update(note="t1")  # as the run wrote it
    assert is_revertible(run)


def test_while_a_revert_is_active_no_other_one_is_offered() -> None:
    create_things(1)
    run = annotate()
    waiting = create_run(Revert, params={"run": run.pk})
    assert (read_reversal(run).active, is_revertible(run)) == (waiting.pk, False)


def test_the_reversals_of_many_runs_need_few_queries(django_assert_max_num_queries: Any) -> None:
    create_things(2)
    runs = []
    for _ in range(3):
        runs.append(annotate())
        runs.append(revert(runs[-1]))
    with django_assert_max_num_queries(3):
        reversals = read_reversals(runs)
    assert [reversals[run.pk].is_complete for run in runs] == [True, False] * 3


def test_a_row_of_a_change_set_is_reverted_once_all_its_cells_are() -> None:
    card = make_card()
    run = apply(stage(Card, (card, "title", "t", "u"), (card, "pack_id", "p", "q")))
    Card.objects.update(title="theirs")
    first = revert(run)
    assert (read_reversal(run).left, read_reversal(run).is_complete, is_revertible(run)) == (1, False, False)
    Card.objects.update(title="u")  # as the run wrote it
    assert is_revertible(run)
    revert(first)
    whole = revert(run)
    assert read_reversal(run).restored == {whole.pk: 1}
