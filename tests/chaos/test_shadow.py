"""Runs killed again and again beside players who write the run's own columns, compared with a shadow table.

An AFTER trigger stores in it the values that each update replaced; the audit log must have the same.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

import psycopg
import pytest

from tests.chaos.conftest import Dose
from tests.chaos.trial import Trial, prepare
from tests.conftest import Manage

SHADOW = """
CREATE TABLE shadow (
    id bigserial, key text, who text, old_rarity text, new_rarity text, old_v2 text, new_v2 text);
CREATE FUNCTION shadow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO shadow (key, who, old_rarity, new_rarity, old_v2, new_v2)
    VALUES (NEW.id, current_setting('application_name'),
        OLD.rarity, NEW.rarity, OLD.rarity_v2, NEW.rarity_v2);
    RETURN NULL;
END $$;
CREATE TRIGGER shadow AFTER UPDATE ON cards FOR EACH ROW EXECUTE FUNCTION shadow();
"""
PLAYS = [
    "UPDATE cards SET rarity_v2 = NULL WHERE id = %s",
    "UPDATE cards SET rarity_v2 = 'mine' WHERE id = %s",
    "UPDATE cards SET rarity = 'rare', rarity_v2 = NULL WHERE id = %s",
    "UPDATE cards SET rarity = 'common' WHERE id = %s",
    "UPDATE cards SET title = title || '.' WHERE id = %s",
]
# Old and new values of both columns that only the shadow table has, or only the audit log.
DIFFERENCES = """
WITH replaced AS (
    SELECT key, old_v2, new_v2, old_rarity, new_rarity FROM shadow WHERE who ~ %(who)s),
audited AS (
    SELECT object_id, changes -> 'rarity_v2' ->> 'old', changes -> 'rarity_v2' ->> 'new',
        CASE WHEN changes ? 'rarity' THEN changes -> 'rarity' ->> 'old' END,
        CASE WHEN changes ? 'rarity' THEN changes -> 'rarity' ->> 'new' END
    FROM audit_logs WHERE run_id = %(run)s),
comparable AS (
    SELECT key, old_v2, new_v2, CASE WHEN %(both)s THEN old_rarity END, CASE WHEN %(both)s THEN new_rarity END
    FROM replaced)
(TABLE comparable EXCEPT ALL TABLE audited) UNION ALL (TABLE audited EXCEPT ALL TABLE comparable)
"""

# What players do meanwhile may be found by the checks.
ENDS = ("succeeded", "verification_failed")


@pytest.fixture
def shadowed(manage: Manage) -> Iterator[Trial]:
    """A trial with a shadow table of its cards."""
    trial = Trial(manage.database_url)
    trial.query(SHADOW)
    yield trial
    trial.query("DROP FUNCTION shadow CASCADE; DROP TABLE shadow")


@contextmanager
def players(trial: Trial, cards: int, count: int = 3) -> Iterator[None]:
    """So many players write single cards, some hundred times a second in all."""
    stop = Event()

    def play(seed: int) -> None:
        chance = random.Random(seed)
        with psycopg.connect(trial.url, autocommit=True, application_name="a player") as connection:
            [(first,)] = connection.execute("SELECT min(id) FROM cards")
            while not stop.wait(0.03):
                connection.execute(chance.choice(PLAYS), [first + chance.randrange(cards)])

    threads = [Thread(target=play, args=[seed]) for seed in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.engine
@pytest.mark.long
def test_what_is_audited_is_what_was_replaced_beside_players(
    manage: Manage, shadowed: Trial, dose: Dose, record_property: Callable[[str, object], None]
) -> None:
    trial = shadowed
    prepare(manage, dose.cards)
    kills = 0
    with players(trial, dose.cards):
        for command in (
            ["backfill_rarity_v2"],
            ["bulk_promote", "--from", "common", "--to", "rare"],
            ["runs", "revert"],
        ):
            target = [trial.newest()] if command[-1] == "revert" else []
            both = command[0] != "backfill_rarity_v2"
            run, killed = trial.kill_and_resume(dose.kills, *command, *target, ends=ENDS)
            kills += killed
            params = {"who": f"^kyndo run {run}\\M", "run": run, "both": both}
            with psycopg.connect(trial.url) as connection:
                assert connection.execute(DIFFERENCES, params).fetchall() == []
            assert trial.query("SELECT count(*) FROM audit_logs WHERE run_id = %s", run) > [(0,)]
    record_property("kills", kills)
    print(f"{kills} kills over {dose.cards:,} cards beside players")
    assert kills > 0
