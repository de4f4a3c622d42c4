"""The audited old value is the one that was replaced, whoever changed the row meanwhile.

UPDATE ... RETURNING OLD of PostgreSQL 18.4 returns the row of the statement's snapshot once the table has a
BEFORE UPDATE row trigger. Here somebody changes rows of a batch after its snapshot was taken.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import pytest
from django.db import connection
from django.db.models import F, Func, TextField, Value
from django.db.models.functions import Concat

from ops.models import Run
from ops.operations import Operation
from ops.operations.revert import Revert
from tests.ops.conftest import RegisterOperation
from tests.ops.running import (
    audited_changes,
    create_things,
    execute_operation,
    execute_sql,
    make_operation,
    make_row_operation,
    player,
    primary_keys,
    wait_until,
)
from tests.trials.models import Thing

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

TRIGGERS = {
    "none": "",
    "any": "BEFORE UPDATE ON trials_thing FOR EACH ROW",
    "when false": "BEFORE UPDATE ON trials_thing FOR EACH ROW WHEN (false)",
    "of another column": "BEFORE UPDATE OF score ON trials_thing FOR EACH ROW",
}
# dwell('t1') returns once there is an owner called go; of any other name at once.
FUNCTIONS = """
CREATE FUNCTION dwell(name text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
    WHILE name = 't1' AND NOT EXISTS (SELECT FROM trials_owner o WHERE o.name = 'go') LOOP
        PERFORM pg_sleep(0.005);
    END LOOP;
    RETURN '!';
END $$;
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TABLE shadow (id bigserial, key text, old text, new text);
CREATE FUNCTION shadow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO shadow (key, old, new) VALUES (NEW.id, OLD.note, NEW.note);
    RETURN NULL;
END $$;
CREATE TRIGGER shadow AFTER UPDATE ON trials_thing FOR EACH ROW EXECUTE FUNCTION shadow();
"""
DWELLS = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
UNMARKED = Thing.objects.exclude(note__endswith="!")
DWELL = Func(F("name"), function="dwell", output_field=TextField())
APPEND = make_operation(UNMARKED, {"note": Concat("note", DWELL)})


@pytest.fixture(params=TRIGGERS, autouse=True)
def shadow(request: pytest.FixtureRequest, transactional_db: None) -> Iterator[None]:
    """A table that an AFTER trigger fills with the old and the new value of each update of a thing."""
    execute_sql(FUNCTIONS)
    if TRIGGERS[request.param]:
        execute_sql(f"CREATE TRIGGER keep {TRIGGERS[request.param]} EXECUTE FUNCTION keep()")
    yield
    execute_sql("DROP FUNCTION shadow, dwell, keep CASCADE; DROP TABLE shadow")


@contextmanager
def changing_while_it_dwells(statement: str) -> Iterator[None]:
    def change() -> None:
        with player() as other:
            wait_until(lambda: execute_sql(DWELLS))
            other.execute(statement)
            other.execute("INSERT INTO trials_owner (name) VALUES ('go')")
            other.commit()
        connection.close()

    thread = Thread(target=change)
    thread.start()
    yield
    thread.join()


def replaced_values(run: Run) -> dict[str, tuple[Any, Any]]:
    """The old and the new value of the last update of each row that the run audited, by the shadow table."""
    last = {key: (old, new) for key, old, new in execute_sql("SELECT key, old, new FROM shadow ORDER BY id")}
    return {key: last[key] for key in audited_changes(run)}


def audited_values(run: Run) -> dict[str, tuple[Any, Any]]:
    changes = audited_changes(run)
    return {key: (change["note"]["old"], change["note"]["new"]) for key, change in changes.items()}


def test_the_old_value_is_what_was_replaced_beside_a_writer(declare: RegisterOperation) -> None:
    rows = create_things(20, note="a")
    with changing_while_it_dwells("UPDATE trials_thing SET note = 'b' WHERE name IN ('t7', 't19')"):
        run = execute_operation(declare(APPEND))
    assert (run.state, audited_changes(run).keys()) == ("succeeded", primary_keys(rows))
    assert audited_values(run) == replaced_values(run)


def test_a_row_moved_out_of_the_condition_meanwhile_is_left(declare: RegisterOperation) -> None:
    rows = create_things(20, note="a")
    with changing_while_it_dwells(
        "UPDATE trials_thing SET note = 'b!' WHERE name = 't7'; DELETE FROM trials_thing WHERE name = 't9'"
    ):
        run = execute_operation(declare(APPEND))
    assert audited_changes(run).keys() == primary_keys([row for row in rows if row.name not in ("t7", "t9")])
    assert audited_values(run) == replaced_values(run)


def test_a_revert_restores_the_values_that_were_replaced(declare: RegisterOperation) -> None:
    create_things(20, note="a")
    with changing_while_it_dwells("UPDATE trials_thing SET note = 'mine' WHERE name = 't7'"):
        run = execute_operation(declare(APPEND))
    revert = execute_operation(Revert, params={"run": run.pk})
    assert audited_values(revert) == replaced_values(revert)
    assert dict(Thing.objects.values_list("name", "note")) == {
        f"t{number}": "mine" if number == 7 else "a" for number in range(1, 21)
    }


def test_what_process_wrote_is_audited_with_what_it_replaced(declare: RegisterOperation) -> None:
    rows = create_things(20, note="a")
    first = [row.name for row in rows[:1]]

    def append(batch: list[Thing]) -> dict[Any, Any]:
        if batch[0].name in first:
            first.clear()
            execute_sql("UPDATE trials_thing SET note = 'b' WHERE name IN ('t7', 't19')")
        return {row.pk: {"note": f"{row.note}!"} for row in batch}

    run = execute_operation(declare(make_row_operation(UNMARKED, append, "note")))
    assert (run.state, audited_changes(run).keys()) == ("succeeded", primary_keys(rows))
    assert audited_values(run) == replaced_values(run)
    assert audited_values(run)[str(rows[6].pk)] == ("b", "b!")


def test_a_constant_is_audited_with_what_it_replaced(declare: RegisterOperation) -> None:
    create_things(20, note="a")
    slowly: type[Operation] = make_operation(
        Thing.objects.exclude(note="c!"), {"note": Concat(Value("c"), DWELL)}
    )
    with changing_while_it_dwells("UPDATE trials_thing SET note = NULL WHERE name IN ('t7', 't8', 't20')"):
        run = execute_operation(declare(slowly))
    assert audited_values(run) == replaced_values(run)


def test_a_table_that_merge_refuses_is_changed_by_update(declare: RegisterOperation) -> None:
    rows = create_things(20, note="a")
    execute_sql("CREATE RULE noted AS ON DELETE TO trials_thing DO ALSO NOTHING")
    execute_sql("INSERT INTO trials_owner (name) VALUES ('go')")
    run = execute_operation(declare(APPEND))
    execute_sql("DROP RULE noted ON trials_thing")
    assert (run.state, audited_changes(run).keys()) == ("succeeded", primary_keys(rows))
