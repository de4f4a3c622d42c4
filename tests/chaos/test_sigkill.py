"""Processes killed with SIGKILL at random instants, again and again, and resumed."""

from collections.abc import Callable

import pytest
from django.contrib.auth import get_user_model

from cards.models import Card
from ops.change_sets.cells import Cell
from ops.change_sets.staging import stage_cells
from tests.chaos.conftest import Dose
from tests.chaos.trial import Trial, prepare
from tests.conftest import Manage


@pytest.fixture
def trial(manage: Manage) -> Trial:
    return Trial(manage.database_url)


@pytest.mark.engine
@pytest.mark.long
def test_operations_and_a_revert_are_exact_however_often_killed(
    manage: Manage, trial: Trial, dose: Dose, record_property: Callable[[str, object], None]
) -> None:
    prepare(manage, dose.cards)
    kills = 0
    for command in (
        ["backfill_rarity_v2"],
        ["bulk_promote", "--from", "common", "--to", "rare"],
        ["runs", "revert"],
    ):
        trial.remember()
        target = [trial.newest()] if command[-1] == "revert" else []
        run, killed = trial.kill_and_resume(dose.kills, *command, *target)
        assert trial.assert_exact(run) > 0
        kills += killed
    record_property("kills", kills)
    print(f"{kills} kills over {dose.cards:,} cards")
    assert kills > 0
    assert trial.query("SELECT count(*) FROM cards WHERE rarity_v2 IS DISTINCT FROM rarity") == [(0,)]


def test_one_of_two_processes_is_killed_and_the_other_ends_the_run(
    manage: Manage, trial: Trial, dose: Dose
) -> None:
    prepare(manage, dose.cards)
    trial.remember()
    last = trial.newest()
    first = trial.start("backfill_rarity_v2", "--execute", "--batch-size", 20, "--lanes", 2)
    run = trial.await_new_run(last)
    second = trial.start("runs", "resume", run)
    assert trial.await_work(run, first)
    trial.kill(first)
    out, err = second.communicate(timeout=600)
    if second.returncode:  # It began before the first process or after the end of the run.
        trial.manage("runs", "resume", run)
    assert trial.state(run) == "succeeded", out + err
    assert trial.assert_exact(run) == dose.cards


@pytest.mark.engine
@pytest.mark.long
def test_a_change_set_and_its_revert_are_exact_however_often_killed(
    manage: Manage, trial: Trial, dose: Dose
) -> None:
    prepare(manage, dose.cards)
    cards = Card.objects.filter(rarity="common").order_by("pk")
    user = get_user_model().objects.create_superuser("ana")
    cells = [Cell(str(pk), "rarity", "common", "rare") for pk in cards.values_list("pk", flat=True)[:400]]
    change_set = stage_cells(Card, cells, user)
    Card.objects.filter(pk=cells[0].key).update(rarity="epic")  # a conflict
    for command in (["operate", "apply_change_set", "--change-set", change_set.pk], ["runs", "revert"]):
        trial.remember()
        target = [trial.newest()] if command[-1] == "revert" else []
        run, killed = trial.kill_and_resume(dose.kills, *command, *target)
        assert trial.assert_exact(run) == 399
        assert killed > 0
    assert change_set.staged.count() == 400
