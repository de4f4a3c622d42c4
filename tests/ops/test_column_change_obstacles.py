"""What is in the way of a column change is told before anything is written, on a real table each."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, models
from django.db.models import Count, F, Q, TextField, Value
from django.db.models.functions import Cast, Coalesce, Concat, Lower
from django.test.utils import isolate_apps

from ops.column_changes import ColumnChange, position, registry
from ops.column_changes.planning import followers
from ops.column_changes.planning import table_obstacles as obstacles
from ops.column_changes.planning.counterparts import list_missing
from ops.column_changes.planning.model_obstacles import find_model_obstacles
from ops.column_changes.planning.plan import PlanRefused, compile_change
from ops.column_changes.planning.table import read_table
from ops.column_changes.steps import Step
from tests.ops.running import FILL, create_run, create_things
from tests.trials.models import Changed, Composite, Elsewhere, Odd, Sort, SpecialThing, Thing

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

TABLE = "CREATE TABLE changed (id bigint PRIMARY KEY, old text, new text, other integer)"
FUNCTION = "CREATE FUNCTION trial() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} RETURN NEW; END $$"


def execute(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture(autouse=True)
def _dropped(transactional_db: None) -> Iterator[None]:
    """Whatever a test makes, in a schema of its own, goes after it."""
    execute("CREATE SCHEMA trial", "SET search_path = trial, public")
    yield
    execute(
        "RESET search_path", "DROP SCHEMA trial CASCADE", "DROP FOREIGN DATA WRAPPER IF EXISTS trial CASCADE"
    )


def declare(**attributes: Any) -> type[ColumnChange]:
    members = {"name": "wide", "model": Changed, "old": "old", "new": "new", **attributes}
    return type("Wide", (ColumnChange,), members)


def find_obstacles(*statements: str, **attributes: Any) -> list[str]:
    execute(*(statements or [TABLE]))
    change = declare(**attributes)
    table = read_table(change, compile_change(change))
    assert table
    return obstacles.find_obstacles(table)


def list_notes(*statements: str, **attributes: Any) -> list[str]:
    execute(TABLE, *statements)
    change = declare(**attributes)
    table = read_table(change, compile_change(change))
    assert table
    return [*followers.list_notes(table), *list_missing(table)]


@pytest.mark.parametrize(
    "statements",
    [
        [TABLE],
        [TABLE.replace("TABLE", "UNLOGGED TABLE")],
        [TABLE.replace(" PRIMARY KEY", " UNIQUE NOT NULL")],
        [TABLE.replace("new text, ", "")],
        [TABLE.replace("old text", "old varchar(5) NOT NULL CHECK (old > 'a')")],
        [TABLE, "CREATE UNIQUE INDEX ON changed (lower(old)) WHERE old > 'a'"],
        [TABLE, "CREATE VIEW seen AS SELECT old FROM changed"],
        [TABLE.replace(" PRIMARY KEY", ""), "CREATE UNIQUE INDEX ON changed (id) INCLUDE (old)"],
        [TABLE.replace("old text", 'old text COLLATE "C"')],
    ],
    ids=["plain", "unlogged", "unique", "no new column", "check", "index", "view", "include", "collation"],
)
def test_a_plain_table_has_no_obstacles(statements: list[str]) -> None:
    assert find_obstacles(*statements) == []


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (
            [f"{TABLE.replace(' PRIMARY KEY', '')} PARTITION BY HASH (id)"],
            "changed is partitioned. A column change does not support that: write it by hand.",
        ),
        (
            [
                f"{TABLE.replace('changed', 'whole')} PARTITION BY HASH (id)",
                "CREATE TABLE changed PARTITION OF whole FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
            ],
            "changed is a partition of another table.",
        ),
        (
            [TABLE, "CREATE TABLE child () INHERITS (changed)"],
            "changed is a table that inherits from another, or from which another inherits.",
        ),
        (
            [TABLE.replace("changed", "parent"), "CREATE TABLE changed (PRIMARY KEY (id)) INHERITS (parent)"],
            "changed is a table that inherits from another, or from which another inherits.",
        ),
        ([TABLE.replace("TABLE", "TEMPORARY TABLE")], "changed is a temporary table."),
        (
            [
                "CREATE FOREIGN DATA WRAPPER trial",
                "CREATE SERVER trial FOREIGN DATA WRAPPER trial",
                "CREATE FOREIGN TABLE changed (id bigint, old text, new text) SERVER trial",
            ],
            "changed is a foreign table.",
        ),
        ([TABLE.replace("changed", "a"), "CREATE VIEW changed AS SELECT * FROM a"], "changed is a view."),
        (
            [TABLE.replace("old text", "old text GENERATED ALWAYS AS ('a') STORED")],
            "changed.old is a generated column",
        ),
        (
            [TABLE.replace("new text", "new text GENERATED ALWAYS AS ('a') STORED")],
            "changed.new is a generated column",
        ),
        (
            [TABLE, "ALTER TABLE changed ADD double text GENERATED ALWAYS AS (old || old) STORED"],
            "A generated column uses old (for trial.changed.double), so the old column",
        ),
        (
            ["CREATE TABLE changed (id bigint UNIQUE, old text PRIMARY KEY, new text)"],
            "changed.old is the primary key or a part of it.",
        ),
        (
            ["CREATE TABLE changed (id bigint, old text, new text)"],
            "changed has no primary key and no unique index on id, which a backfill needs.",
        ),
        (
            [
                TABLE,
                "ALTER TABLE changed ADD UNIQUE (old)",
                "CREATE TABLE b (x text REFERENCES changed (old))",
            ],
            "The foreign key b_x_fkey of b refers to changed.old.",
        ),
        (
            [
                TABLE,
                FUNCTION.format("NEW.old := lower(NEW.old);"),
                "CREATE TRIGGER lower BEFORE INSERT ON changed FOR EACH ROW EXECUTE FUNCTION trial()",
            ],
            "The trigger lower of changed, by its function trial(), sets or reads one of old, new before",
        ),
        (
            [
                TABLE,
                FUNCTION.format("NEW.other := 1;"),
                "CREATE TRIGGER odd BEFORE UPDATE OF new ON changed FOR EACH ROW EXECUTE FUNCTION trial()",
            ],
            "The trigger odd of changed, by its function trial()",
        ),
        (
            [
                TABLE,
                FUNCTION.format("NEW.other := 1;"),
                "CREATE TRIGGER odd BEFORE UPDATE ON changed FOR EACH ROW WHEN (NEW.old = 'a')"
                " EXECUTE FUNCTION trial()",
            ],
            "The trigger odd of changed, by its function trial()",
        ),
        (
            [
                TABLE,
                "ALTER TABLE changed ADD words tsvector",
                "CREATE TRIGGER words BEFORE INSERT ON changed FOR EACH ROW EXECUTE FUNCTION"
                " tsvector_update_trigger(words, 'pg_catalog.english', old)",
            ],
            "The trigger words of changed, by its function tsvector_update_trigger()",
        ),
        (
            [TABLE, "CREATE RULE mine AS ON UPDATE TO changed DO ALSO SELECT 1"],
            "changed has the rule mine. Use a trigger instead of the rule.",
        ),
        (
            [
                TABLE,
                "ALTER TABLE changed ALTER old SET NOT NULL, ADD UNIQUE (old)",
                "ALTER TABLE changed REPLICA IDENTITY USING INDEX changed_old_key",
            ],
            "old is in the replica identity of changed",
        ),
        (
            [TABLE.replace("new text", "new text DEFAULT 'a'")],
            "changed.new has the default 'a'::text in the database.",
        ),
        (
            [TABLE, "ALTER TABLE changed ADD old__retired text"],
            "changed has a column old__retired already",
        ),
        (
            [TABLE.replace("old text, new text", 'old text COLLATE "C", new text COLLATE "POSIX"')],
            "PostgreSQL cannot compare old and new, which have the collations C and POSIX.",
        ),
        ([TABLE.replace("old text, ", "")], "The table changed has no column old in this database."),
    ],
)
def test_an_obstacle_is_told_in_words(statements: list[str], words: str) -> None:
    found = find_obstacles(*statements)
    assert [words in each for each in found] == [True], found


@pytest.mark.parametrize(
    ("statement", "column", "words"),
    [
        ("number bigint GENERATED BY DEFAULT AS IDENTITY", "number", "changed.number is an identity column"),
        ("number bigserial", "number", "changed.number gets its values from a sequence: nextval('"),
    ],
)
def test_a_type_that_cannot_be_changed_is_told(statement: str, column: str, words: str) -> None:
    table = f"CREATE TABLE changed (id bigint PRIMARY KEY, {statement})"
    found = find_obstacles(table, old=column, new=f"{column}_v2")
    assert [words in each for each in found] == [True], found


def test_a_virtual_column_is_no_source() -> None:
    """PostgreSQL 18 makes it NULL in the function of a trigger."""
    if connection.pg_version < 180000:
        pytest.skip("PostgreSQL 18 has virtual columns")
    table = TABLE.replace("other integer", "other integer GENERATED ALWAYS AS (id) VIRTUAL")
    found = find_obstacles(table, get_new_value=lambda self: Concat("old", Cast("other", TextField())))
    assert ["changed.other is a generated column" in each for each in found] == [True], found


NULL_TO_NOT_NULL = "old may be NULL, and new may not. Set null=True for new, or give a value for NULL"


@pytest.mark.parametrize(
    ("attributes", "found"),
    [
        ({}, [NULL_TO_NOT_NULL]),
        ({"mapping": {"a": "b"}}, [NULL_TO_NOT_NULL]),
        ({"get_new_value": lambda self: Coalesce("old", Value(""))}, []),
        ({"get_new_value": lambda self: Concat("old", Cast("other", TextField()))}, []),
    ],
    ids=["copied", "mapped", "with a value for NULL", "from other columns too"],
)
def test_null_where_the_new_column_allows_none_is_told(
    monkeypatch: pytest.MonkeyPatch, attributes: dict[str, Any], found: list[str]
) -> None:
    monkeypatch.setattr(Changed._meta.get_field("new"), "null", False)
    told = find_obstacles(**attributes)
    assert [each.partition(" in get_new_value()")[0] for each in told] == found


def test_rows_that_this_role_cannot_see_are_told() -> None:
    execute(TABLE, "ALTER TABLE changed ENABLE ROW LEVEL SECURITY", "CREATE ROLE trial_reader")
    try:
        execute("GRANT USAGE ON SCHEMA trial TO trial_reader", "SET ROLE trial_reader")
        found = find_obstacles("SELECT")
    finally:
        execute("RESET ROLE", "DROP OWNED BY trial_reader", "DROP ROLE trial_reader")
    assert ["Row-level security hides rows of changed from this role" in each for each in found] == [True]


@pytest.mark.parametrize(
    ("definition", "swap", "count"),
    [
        ("(id, old)", False, 1),
        ("WHERE (old > 'a')", False, 1),
        ("(id, old)", True, 0),
        ("(id, new)", False, 0),
        ("", False, 0),
    ],
)
def test_a_publication_that_names_the_column_is_told(definition: str, swap: bool, count: int) -> None:
    try:
        found = find_obstacles(TABLE, f"CREATE PUBLICATION trial FOR TABLE changed {definition}", swap=swap)
    finally:
        execute("DROP PUBLICATION trial")
    assert ["The publication trial names changed.old" in each for each in found] == [True] * count


def test_a_table_in_another_schema_is_no_obstacle() -> None:
    execute('CREATE SCHEMA "Other schema"')
    try:
        found = find_obstacles(
            'CREATE TABLE "Other schema".changed (code text PRIMARY KEY, "order" text, after text)',
            model=Elsewhere,
            old="note",
            new="after",
        )
    finally:
        execute('DROP SCHEMA "Other schema" CASCADE')
    assert found == []


def test_names_that_have_to_be_quoted_are_no_obstacle() -> None:
    found = find_obstacles(
        'CREATE TABLE "Odd things, in Order;" (id bigint PRIMARY KEY, "The Title" text, "select" text)',
        model=Odd,
        old="title",
        new="copy",
    )
    assert found == []


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (["CREATE VIEW seen AS SELECT upper(old) AS o FROM changed"], "The view trial.seen reads old."),
        (["CREATE MATERIALIZED VIEW seen AS SELECT old FROM changed"], "The view trial.seen reads old."),
        (
            ["CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT OLD FROM changed'"],
            "The function f() seems to name changed.old in its text",
        ),
        (
            ["CREATE FUNCTION f() RETURNS text BEGIN ATOMIC SELECT old FROM changed; END"],
            "The function trial.f() uses old. It will use the renamed column",
        ),
        (
            [
                FUNCTION.format("NEW.other := 1;"),
                "CREATE TRIGGER audit AFTER UPDATE OF old ON changed FOR EACH ROW EXECUTE FUNCTION trial()",
            ],
            "The trigger audit of changed uses old. It does not fire for an UPDATE that sets only new.",
        ),
        (
            [
                FUNCTION.format("PERFORM NEW.old;"),
                "CREATE TRIGGER audit AFTER INSERT ON changed FOR EACH ROW EXECUTE FUNCTION trial()",
            ],
            "The trigger audit of changed uses old. Change it to use new before the step retire.",
        ),
        (["CREATE POLICY p ON changed USING (old = 'a')"], "The policy p on trial.changed uses old."),
        (
            ["CREATE STATISTICS s ON old, other FROM changed"],
            "The statistics trial.s are of old, and are dropped with",
        ),
        (
            ["CREATE INDEX i ON changed (old)"],
            "new has no counterpart of the index CREATE INDEX i ON trial.changed",
        ),
        (
            ["CREATE INDEX i ON changed (lower(old))"],
            "new has no counterpart of the index CREATE INDEX i ON trial",
        ),
        (
            ["CREATE INDEX i ON changed (id) WHERE old > ''"],
            "new has no counterpart of the index CREATE INDEX i ON",
        ),
        (
            ["ALTER TABLE changed ADD CHECK (old > 'a')"],
            "new has no counterpart of the constraint changed_old_check: CHECK (old > 'a'::text).",
        ),
        (
            ["ALTER TABLE changed ADD UNIQUE (old, other)"],
            "new has no counterpart of the constraint changed_old_other_key: UNIQUE (old, other).",
        ),
        (
            ["ALTER TABLE changed ADD EXCLUDE (old WITH =)"],
            "new has no counterpart of the constraint changed_old_excl: EXCLUDE USING btree (old WITH =).",
        ),
        (
            ["CREATE TABLE b (x text PRIMARY KEY)", "ALTER TABLE changed ADD FOREIGN KEY (old) REFERENCES b"],
            "new has no counterpart of the constraint changed_old_fkey: FOREIGN KEY (old) REFERENCES b(x).",
        ),
    ],
)
def test_what_uses_the_old_column_is_noted(statements: list[str], words: str) -> None:
    notes = list_notes(*statements)
    assert [words in each for each in notes] == [True], notes


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("CREATE VIEW seen AS SELECT old FROM changed", ["The view trial.seen reads old."]),
        ("CREATE POLICY p ON changed USING (old = 'a')", ["The policy p on trial.changed uses old."]),
        ("CREATE STATISTICS s ON old, other FROM changed", []),
    ],
)
def test_before_a_swap_it_is_said_what_prevents_retire(statement: str, expected: list[str]) -> None:
    what = " It prevents the step retire: drop it before that step, and create it again afterwards."
    assert list_notes(statement, swap=True) == [each + what for each in expected]


def test_what_does_not_use_the_old_column_is_not_noted() -> None:
    notes = list_notes(
        "CREATE VIEW seen AS SELECT older, id FROM (SELECT id, new AS older FROM changed) s",
        "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT new AS older FROM changed'",
        "CREATE FUNCTION g() RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM old FROM other_changed; END'",
        "CREATE INDEX ON changed (new, id)",
        "CREATE STATISTICS s ON new, other FROM changed",
    )
    assert notes == []


@pytest.mark.parametrize(
    ("statement", "declared"),
    [
        ("CREATE INDEX ON changed (old, other)", models.Index("new", "other", name="i")),
        (
            "CREATE UNIQUE INDEX ON changed (lower(old)) WHERE other = 1",
            models.UniqueConstraint(Lower("new"), condition=Q(other=1), name="i"),
        ),
        ("ALTER TABLE changed ADD CHECK (old > 'a')", models.CheckConstraint(condition=~Q(new=""), name="i")),
    ],
)
def test_what_the_new_column_has_too_is_not_noted(
    monkeypatch: pytest.MonkeyPatch, statement: str, declared: Any
) -> None:
    kind = "indexes" if isinstance(declared, models.Index) else "constraints"
    assert len(list_notes(statement)) == 1
    monkeypatch.setattr(Changed._meta, kind, [declared])
    execute("DROP TABLE changed")
    assert list_notes(statement) == []


def test_a_published_table_is_noted() -> None:
    try:
        [note] = list_notes("CREATE PUBLICATION trial FOR TABLES IN SCHEMA trial")
    finally:
        execute("DROP PUBLICATION trial")
    assert note.startswith("changed is published by trial. Subscribers do not get new columns")


def test_defaults_of_python_and_lengths_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = map(Changed._meta.get_field, ("old", "new"))
    monkeypatch.setattr(old, "default", "x")
    monkeypatch.setattr(old, "db_default", "x")
    monkeypatch.setattr(old, "max_length", 9)
    monkeypatch.setattr(new, "max_length", 8)
    monkeypatch.setattr(new, "null", False)
    first, second, third = list_notes()
    begin = "Code that knows both fields writes both: where it sets only "
    assert first.startswith(f"{begin}old, Django sets new to an empty text, and the two differ.")
    assert second.startswith(f"{begin}new, Django sets old to its default, 'x', and the two differ.")
    assert third == (
        "A value of old that has more than the 8 characters of new is refused, also where old code writes it."
    )
    monkeypatch.setattr(new, "db_default", "x")
    execute("DROP TABLE changed")
    assert list_notes() == [second, third]


with isolate_apps("tests.trials"):  # so that other tests do not see it

    class ThingProxy(Thing):
        class Meta:
            proxy = True
            app_label = "trials"


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"model": Changed, "old": "old", "new": "new"}, "trials.Changed is not managed by Django"),
        ({"model": ThingProxy}, "trials.ThingProxy is a proxy. Declare the change for trials.Thing."),
        (
            {"model": SpecialThing},
            "trials.SpecialThing has name from trials.Thing, whose table has the column.",
        ),
        ({"new": "friends"}, "friends is a ManyToManyField, which has no column of its own."),
        ({"old": "doubled"}, "doubled is a generated column, which nobody can write."),
        (
            {"old": "id"},
            "id is the primary key of trials.Thing. Other models refer to it: trials.SpecialThing,",
        ),
        (
            {"model": Composite, "old": "note", "new": "b"},
            "backfill_wide: trials.Composite has a composite",
        ),
        ({"group_by": "nothing"}, "backfill_wide: group_by"),
        ({"new": "updated_at"}, "updated_at has auto_now=True, so Django writes the time into it"),
    ],
)
def test_an_obstacle_of_the_model_is_told(attributes: dict[str, Any], words: str) -> None:
    change = declare(**{"model": Thing, "old": "name", "new": "note", **attributes})
    found = find_model_obstacles(change)
    assert words in found[0]
    assert len(found) == (2 if change.model is SpecialThing else 1)  # it has both from its parent


THING: dict[str, Any] = {"model": Thing, "old": "name", "new": "note"}


@pytest.mark.parametrize(
    ("other", "step", "is_told"),
    [
        ({"old": "note", "new": "score"}, None, True),
        ({"old": "score", "new": "note"}, "retire", True),
        ({"model": ThingProxy, "old": "note", "new": "score"}, "expand", True),
        ({"old": "note", "new": "score"}, "drop", False),
        ({"old": "score", "new": "owner"}, None, False),
        ({"model": Sort, "old": "text", "new": "note"}, None, False),
    ],
)
def test_a_change_of_the_same_column_comes_first(
    monkeypatch: pytest.MonkeyPatch, other: dict[str, Any], step: str | None, is_told: bool
) -> None:
    monkeypatch.setattr(registry, "_changes", {"wide": declare(**THING)})
    registry._changes["longer"] = declare(**{**THING, "name": "longer", **other})
    if step:
        position.record_step("longer", Step(step), "tester")
    found = find_model_obstacles(declare(**THING))
    words = "The column change longer works on note too. Let it take all its steps first: "
    assert [each.startswith(words) for each in found] == [True] * is_told


def test_a_run_that_writes_one_of_the_columns_comes_first() -> None:
    create_things(1)
    run = create_run(FILL)
    [found] = find_model_obstacles(declare(**THING))
    assert found.startswith(f"Run {run.pk} (trial) writes note at the moment. Let it finish, or cancel it: ")
    assert find_model_obstacles(declare(**{**THING, "new": "score"})) == []


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({**THING, "get_new_value": lambda self: F("owner__name")}, "is no expression over one row"),
        ({**THING, "get_new_value": lambda self: Count("score")}, "is no expression over one row"),
        ({"old": "data", "new": "data_v2"}, "operator does not exist: json = json."),
    ],
    ids=["join", "aggregate", "json"],
)
def test_what_triggers_cannot_convert_is_refused(attributes: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanRefused, match=r"^wide: its values cannot be converted by triggers: ") as caught:
        compile_change(declare(**attributes))
    assert words in str(caught.value)


def test_a_mapping_that_may_give_null_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Changed._meta.get_field("new"), "null", False)
    monkeypatch.setattr(Changed._meta.get_field("new"), "db_default", "x")
    monkeypatch.setattr(Changed._meta.get_field("old"), "choices", [("a", "A"), ("b", "B")])
    [note] = list_notes(mapping={"a": "x"})
    assert note.startswith("An old value that the mapping does not have gives NULL, which new does not allow")
    execute("DROP TABLE changed")
    assert list_notes(mapping={"a": "x", "b": "y"}) == []


def test_a_new_column_that_is_filled_already_is_noted() -> None:
    execute(TABLE.replace("new text", "new text NOT NULL"))
    change = declare()
    table = read_table(change, compile_change(change))
    assert table
    [note] = followers.list_notes(table)
    assert note.startswith(
        "changed.new is NOT NULL, so each row has a value already, and the backfill changes"
    )


@pytest.mark.parametrize(
    ("old", "new", "notes"),
    [
        (
            "old",
            "number",
            ["A value of old that cannot become bigint, the type of number, is refused, also"],
        ),
        (
            "number",
            "old",
            ["A value of old that cannot become bigint, the type of number, is refused until"],
        ),
        (
            "other",
            "number",
            ["A value of number that cannot become integer, the type of other, is refused until"],
        ),
        ("number", "number_v2", []),
    ],
)
def test_values_that_the_other_column_cannot_have_are_noted(old: str, new: str, notes: list[str]) -> None:
    found = list_notes("ALTER TABLE changed ADD number bigint, ADD number_v2 bigint", old=old, new=new)
    assert [each[: len(note)] for each, note in zip(found, notes, strict=True)] == notes
