"""Reverts compare stored values with audited ones, also if the column has another type by now."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db.models import F
from django.db.models.expressions import RawSQL

from ops.exceptions import InvalidParams
from ops.models import Run
from ops.operations.revert import Revert
from ops.runs.creation import RunRequest
from ops.runs.preview import build_preview
from ops.runs.rebuild import rebuild_operation
from tests.ops.conftest import RegisterOperation
from tests.ops.running import (
    audited_changes,
    create_run,
    create_things,
    errors_by_object,
    execute_operation,
    execute_sql,
    make_operation,
)
from tests.trials.models import Thing, Typed

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

FIELD = Typed._meta.get_field("value")
Fill = Callable[[str, str, str], Run]


@pytest.fixture
def fill(declare: RegisterOperation, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fill]:
    """``fill(type, old, new)`` executes a run that changes two rows of that type from old to new."""
    created = []

    def fill(kind: str, old: str, new: str) -> Run:
        monkeypatch.setattr(FIELD, "kind", kind)
        created.append(
            execute_sql(
                "CREATE TABLE trials_typed (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
                f" done boolean DEFAULT false, value {kind})"
            )
        )
        execute_sql(
            f"INSERT INTO trials_typed (value) VALUES (%s::text::{kind}), (%s::text::{kind})", old, old
        )
        changes = {"value": RawSQL("%s::text", [new]), "done": True}
        run = execute_operation(declare(make_operation(Typed.objects.filter(done=False), changes)))
        assert run.state == "succeeded", errors_by_object(run)
        return run

    yield fill
    if created:
        execute_sql("DROP TABLE trials_typed; DROP TYPE IF EXISTS trials_pair")


def values() -> list[Any]:
    return [value for (value,) in execute_sql("SELECT value::text FROM trials_typed ORDER BY id")]


CHANGED_TYPES = [
    ("integer", "4", "5", "text", "value::text", "4"),
    ("integer", "4", "5", "bigint", "value", "4"),
    ("integer", "4", "5", "numeric(5,2)", "value", "4.00"),
    ("text", "4", "5", "integer", "value::integer", "4"),
    ("text", "a", "true", "varchar(9)", "value", "a"),
    ("numeric(10,2)", "1.10", "2.50", "numeric", "value", "1.10"),
    ("numeric(10,2)", "1.25", "2.55", "numeric(10,1)", "value", "1.3"),
    ("double precision", "0.1", "0.30000000000000004", "real", "value", "0.1"),
    ("char(5)", "ab", "cd", "char(9)", "value", "ab"),
    ("varchar(9)", "ab", "cd", "char(9)", "value", "ab"),
    ("date", "2024-02-28", "2024-02-29", "timestamptz", "value", "2024-02-28 00:00:00+00"),
    ("timestamptz", "2024-02-28 05:00+00", "2024-02-29 06:00+00", "date", "value::date", "2024-02-28"),
    ("text[]", "{a,NULL}", "{b}", "varchar(5)[]", "value", "{a,NULL}"),
    ("uuid", "12345678-1234-5678-1234-567812345678", "12345678-1234-5678-1234-567812345679", "text",
     "value::text", "12345678-1234-5678-1234-567812345678"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "old", "new", "now", "using", "back"), CHANGED_TYPES)
@pytest.mark.parametrize("model_knows", [True, False])
def test_revert_recognizes_unchanged_rows_after_a_change_of_type(
    fill: Fill, monkeypatch: pytest.MonkeyPatch, model_knows: bool,
    kind: str, old: str, new: str, now: str, using: str, back: str,
) -> None:  # fmt: skip
    run = fill(kind, old, new)
    execute_sql(f"ALTER TABLE trials_typed ALTER value TYPE {now} USING {using}")
    if model_knows:
        monkeypatch.setattr(FIELD, "kind", now)
    revert = execute_operation(Revert, params={"run": run.pk})
    assert (revert.state, errors_by_object(revert)) == ("succeeded", {})
    assert values() == [back, back]
    assert list(rebuild_operation(revert).get_notes(revert)) == []


@pytest.mark.parametrize(
    ("kind", "old", "new", "now", "using", "message"),
    [
        ("text", "rare", "epic", "integer", "length(value)", 'invalid input syntax for type integer: "'),
        ("text", "common", "3", "integer", "value::integer", 'syntax for type integer: "common"'),
        ("text", "legendary", "epic", "varchar(5)", "value", "value too long for type character varying(5)"),
        ("boolean", "true", "false", "integer", "value::integer", "invalid input syntax for type integer"),
    ],
)  # fmt: skip
def test_revert_is_refused_if_old_values_no_longer_fit(
    fill: Fill, kind: str, old: str, new: str, now: str, using: str, message: str
) -> None:
    run = fill(kind, old, new)
    execute_sql(f"ALTER TABLE trials_typed ALTER value TYPE {now} USING {using}")
    before = values()
    for create in (
        lambda: build_preview(RunRequest(Revert, "tester", params={"run": run.pk})),
        lambda: create_run(Revert, params={"run": run.pk}),
    ):
        with pytest.raises(
            InvalidParams, match=f"Run {run.pk} cannot be reverted: a value does not fit"
        ) as error:
            create()
        assert message in str(error.value)
    assert values() == before
    assert not Run.objects.filter(operation="revert").exists()


@pytest.mark.parametrize(
    ("kind", "old", "new", "theirs"),
    [("interval", "1 day", "1 mon", "30 days"), ("point", "(1,2)", "(3,4)", "(3,5)")],
)
def test_a_players_value_with_another_image_is_a_conflict(
    fill: Fill, kind: str, old: str, new: str, theirs: str
) -> None:
    run = fill(kind, old, new)
    execute_sql(f"UPDATE trials_typed SET value = '{theirs}' WHERE id = (SELECT min(id) FROM trials_typed)")
    revert = execute_operation(Revert, params={"run": run.pk})
    assert values() == [theirs, old]
    [note] = rebuild_operation(revert).get_notes(revert)
    assert note.startswith(f"1 typed was changed or deleted after run {run.pk}, so it was not reverted")


def test_revert_is_refused_after_a_column_was_renamed(fill: Fill) -> None:
    run = fill("text", "a", "b")
    execute_sql("ALTER TABLE trials_typed RENAME value TO worth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FIELD, "column", "worth")
        with pytest.raises(InvalidParams, match="it did not write 'worth', as the column is called now"):
            create_run(Revert, params={"run": run.pk})


def test_values_of_runs_without_recorded_types_are_all_converted(fill: Fill) -> None:
    run = fill("text", "rare", "epic")
    Run.objects.update(types={})
    execute_sql("ALTER TABLE trials_typed ALTER value TYPE integer USING length(value)")
    with pytest.raises(InvalidParams, match="a value does not fit its column any more"):
        create_run(Revert, params={"run": run.pk})


def test_revert_is_refused_if_the_column_is_json_now(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    run = fill("text", "a", "b")
    execute_sql("ALTER TABLE trials_typed ALTER value TYPE jsonb USING to_jsonb(value)")
    monkeypatch.setattr(FIELD, "kind", "jsonb")
    with pytest.raises(
        InvalidParams, match="value was text and is jsonb now, and a JSON null is no SQL NULL"
    ):
        create_run(Revert, params={"run": run.pk})


def test_the_note_of_conflicts_names_the_change_of_type(fill: Fill) -> None:
    run = fill("timestamptz", "2024-02-28 05:00+00", "2024-02-29 06:00+00")
    execute_sql("ALTER TABLE trials_typed ALTER value TYPE text USING value::text")
    revert = execute_operation(Revert, params={"run": run.pk})
    [note] = rebuild_operation(revert).get_notes(revert)
    assert note.endswith(" (value was timestamp with time zone and is text now)")


def test_revert_is_refused_after_an_enum_label_was_renamed(fill: Fill) -> None:
    execute_sql("CREATE TYPE trials_pair AS ENUM ('rare', 'epic')")
    run = fill("trials_pair", "rare", "epic")
    execute_sql("ALTER TYPE trials_pair RENAME VALUE 'epic' TO 'legendary'")
    with pytest.raises(InvalidParams, match='invalid input value for enum trials_pair: "epic"'):
        create_run(Revert, params={"run": run.pk})


def test_revert_is_refused_if_the_domain_forbids_the_value_now(fill: Fill) -> None:
    execute_sql("CREATE DOMAIN trials_pair AS text")
    run = fill("trials_pair", "rare", "epic")
    execute_sql("ALTER DOMAIN trials_pair ADD CONSTRAINT trials_not_rare CHECK (VALUE <> 'rare') NOT VALID")
    with pytest.raises(InvalidParams, match='violates check constraint "trials_not_rare"'):
        create_run(Revert, params={"run": run.pk})


def test_a_row_that_the_run_did_not_change_is_no_conflict(declare: RegisterOperation, trigger: Any) -> None:
    rows = create_things(3)
    trigger("trials_thing", "IF OLD.name = 't2' THEN NEW.note := OLD.note; END IF; RETURN NEW;")
    missing = Thing.objects.filter(note=None)
    run = execute_operation(declare(make_operation(missing, {"note": F("name")})), batch_size=1)
    assert audited_changes(run)[str(rows[1].pk)] == {"note": {"old": None, "new": None}}
    preview = build_preview(RunRequest(Revert, "tester", params={"run": run.pk}))
    assert (preview.total, preview.notes) == (2, [])
    revert = execute_operation(Revert, params={"run": run.pk})
    assert list(rebuild_operation(revert).get_notes(revert)) == []
