"""Processes killed with SIGKILL at random instants, again and again, and resumed."""

import pytest

from tests.chaos.conftest import Dose
from tests.chaos.trial import Trial, prepare
from tests.conftest import Manage


@pytest.fixture
def trial(manage: Manage) -> Trial:
    return Trial(manage.database_url)


def killed_and_resumed(trial: Trial, kills: int, *words: object) -> tuple[int, int]:
    """Execute, kill and resume until the run is done; the run, and how often it was killed at work."""
    last, done = trial.newest(), 0
    process = trial.start(*words, "--execute", "--batch-size", 20)
    run = trial.await_new_run(last)
    while done < kills and trial.await_work(run, process):
        trial.kill(process)
        done += 1
        if trial.state(run) == "succeeded":  # killed after its last word
            return run, done
        process = trial.start("runs", "resume", run)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, out + err
    assert trial.state(run) == "succeeded"
    return run, done


@pytest.mark.engine
@pytest.mark.long
def test_a_backfill_a_promotion_and_its_revert_are_exact_however_often_they_are_killed(
    manage: Manage, trial: Trial, dose: Dose, record_property
):
    prepare(manage, dose.cards)
    kills = 0
    for words in (
        ["backfill_rarity_v2"],
        ["bulk_promote", "--from", "common", "--to", "rare"],
        ["runs", "revert"],
    ):
        trial.remember()
        target = [trial.newest()] if words[-1] == "revert" else []
        run, killed = killed_and_resumed(trial, dose.kills, *words, *target)
        assert trial.assert_exact(run) > 0
        kills += killed
    record_property("kills", kills)
    print(f"{kills} kills over {dose.cards:,} cards")
    assert kills > 0
    assert trial.query("SELECT count(*) FROM cards WHERE rarity_v2 IS DISTINCT FROM rarity") == [(0,)]


def test_of_two_processes_on_one_run_one_is_killed_and_the_other_ends_it_exactly(
    manage: Manage, trial: Trial, dose: Dose
):
    prepare(manage, dose.cards)
    trial.remember()
    last = trial.newest()
    first = trial.start("backfill_rarity_v2", "--execute", "--batch-size", 20, "--lanes", 2)
    run = trial.await_new_run(last)
    second = trial.start("runs", "resume", run)
    assert trial.await_work(run, first)
    trial.kill(first)
    out, err = second.communicate(timeout=600)
    if second.returncode:  # It came before the first had begun, or after the run had ended: somebody resumes.
        trial.manage("runs", "resume", run)
    assert trial.state(run) == "succeeded", out + err
    assert trial.assert_exact(run) == dose.cards
