"""Runs over some of the rows: a filter, or certain keys."""

import uuid
from collections.abc import Mapping

import pytest
from django.db import connection
from django.db.models import CharField, F, Model
from django.db.models.expressions import RawSQL
from django.test.utils import isolate_apps

from ops.exceptions import InvalidScope
from ops.models import Key
from ops.operations import Check
from ops.operations.revert import Revert
from ops.operations.scope import Scope
from ops.runs.creation import RunRequest
from ops.runs.preview import build_preview
from ops.runs.progress import read_progress
from tests.ops.conftest import RegisterOperation
from tests.ops.running import (
    BOTH,
    FILL,
    MISSING,
    audited_changes,
    create_run,
    create_things,
    errors_by_object,
    execute_operation,
    execute_run,
    execute_sql,
    make_operation,
    primary_keys,
)
from tests.trials.models import Elsewhere, Owner, TextKeyed, Thing, UuidKeyed

pytestmark = pytest.mark.django_db(transaction=True)


@BOTH
def test_a_filter_narrows_the_run_its_total_and_its_preview(
    declare: RegisterOperation, declared: type
) -> None:
    rows = create_things(3, score=1) + create_things(4, score=2)
    scope = Scope(filter={"score": "2"})
    assert build_preview(RunRequest(declare(declared), "me", scope=scope)).total == 4
    run = execute_operation(declared, scope=scope)
    assert (run.total, audited_changes(run).keys()) == (4, primary_keys(rows[3:]))
    assert run.scope == {"filter": {"score": "2"}, "keys": False}


def test_a_row_must_match_every_filter(declare: RegisterOperation) -> None:
    rows = create_things(4, score=2)
    run = execute_operation(declare(FILL), scope=Scope(filter={"score": "2", "name": "t3"}))
    assert audited_changes(run).keys() == {str(rows[2].pk)}


def test_a_filter_may_name_a_foreign_key(declare: RegisterOperation) -> None:
    owner = Owner.objects.create(name="Ana")
    owned, _ = create_things(1, owner=owner) + create_things(1)
    run = execute_operation(declare(FILL), scope=Scope(filter={"owner": str(owner.pk)}))
    assert audited_changes(run).keys() == {str(owned.pk)}


@BOTH
def test_keys_narrow_the_run_and_are_kept_in_their_table(declare: RegisterOperation, declared: type) -> None:
    rows = create_things(6)
    chosen = [rows[1], rows[4]]
    run = create_run(declare(declared), scope=Scope.of_keys(row.pk for row in chosen))
    assert set(Key.objects.values_list("run", "object_id")) == {(run.pk, str(row.pk)) for row in chosen}
    execute_run(run)
    assert (run.state, run.total, audited_changes(run).keys()) == ("succeeded", 2, primary_keys(chosen))


def test_keys_of_text_and_uuid_find_their_rows(declare: RegisterOperation) -> None:
    TextKeyed.objects.bulk_create(TextKeyed(code=code) for code in ("a'%", "b", "c"))
    run = execute_operation(
        declare(make_operation(TextKeyed.objects.filter(note=None), {"note": "x"})),
        scope=Scope.of_keys(["a'%", "c"]),
    )
    assert audited_changes(run).keys() == {"a'%", "c"}
    row, _ = UuidKeyed.objects.create(), UuidKeyed.objects.create()
    run = execute_operation(
        declare(make_operation(UuidKeyed.objects.filter(note=None), {"note": "x"})),
        scope=Scope.of_keys([row.pk]),
    )
    assert audited_changes(run).keys() == {str(row.pk)}


def test_no_keys_are_no_rows(declare: RegisterOperation) -> None:
    create_things(3)
    run = execute_operation(declare(FILL), scope=Scope.of_keys([]))
    assert (run.state, run.total, audited_changes(run)) == ("succeeded", 0, {})


def test_a_key_that_is_not_there_is_nothing(declare: RegisterOperation) -> None:
    rows = create_things(2)
    run = execute_operation(declare(FILL), scope=Scope.of_keys([rows[0].pk, 999_999_999]))
    assert (run.total, audited_changes(run).keys()) == (1, {str(rows[0].pk)})


COLUMNS = "id, name, note, score, owner, doubled, updated_at"


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"nope": "1"}, f"trials.Thing has no column 'nope'; it has {COLUMNS}"),
        ({"owner__name": "x"}, "trials.Thing has no column 'owner__name'"),
        ({"score__gt": "1"}, "trials.Thing has no column 'score__gt'"),
        ({"tags": "1"}, "trials.Thing has no column 'tags'"),
        ({"friends": "1"}, "trials.Thing has no column 'friends'"),
        ({"score": "many"}, "score=many: “many” value must be an integer."),
        ({"owner": "Ana"}, "owner=Ana: “Ana” value must be an integer."),
        ({"updated_at": "soon"}, "updated_at=soon: “soon” value has an invalid format."),
    ],
)
def test_a_filter_that_the_model_cannot_have_is_refused(
    declare: RegisterOperation, conditions: Mapping[str, str], message: str
) -> None:
    request = RunRequest(declare(FILL), "me", scope=Scope(filter=conditions))
    with pytest.raises(InvalidScope) as error:
        build_preview(request)
    assert str(error.value).startswith(message)
    with pytest.raises(InvalidScope):
        create_run(FILL, scope=request.scope)


def test_keys_that_the_model_cannot_have_are_refused(declare: RegisterOperation) -> None:
    with pytest.raises(InvalidScope, match="abc"):
        create_run(declare(FILL), scope=Scope.of_keys(["abc"]))
    with pytest.raises(InvalidScope, match="abc"):
        create_run(
            declare(make_operation(UuidKeyed.objects.filter(note=None), {"note": "x"})),
            scope=Scope.of_keys(["abc"]),
        )


def test_a_uuid_in_capitals_is_the_same_key(declare: RegisterOperation) -> None:
    row = UuidKeyed.objects.create(pk=uuid.UUID("abcdefab-cdef-abcd-efab-cdefabcdefab"))
    missing = UuidKeyed.objects.filter(note=None)
    run = execute_operation(
        declare(make_operation(missing, {"note": "x"})), scope=Scope.of_keys([str(row.pk).upper()])
    )
    assert (run.total, audited_changes(run).keys()) == (1, {str(row.pk)})


def test_a_total_is_never_less_than_what_is_done(declare: RegisterOperation) -> None:
    rows = create_things(4)
    Thing.objects.filter(pk__in=[row.pk for row in rows[2:]]).update(note="x")
    run = create_run(declare(FILL), batch_size=1)
    Thing.objects.update(note=None)  # between the count and the first batch
    execute_run(run)
    progress = read_progress(run)
    assert (run.total, progress.changed, progress.total) == (2, 4, 4)


@pytest.mark.parametrize("lanes", [1, 3])
@BOTH
def test_keys_are_advanced_along_whatever_their_order_as_text(
    declare: RegisterOperation, declared: type, lanes: int
) -> None:
    rows = create_things(120)
    chosen = [row for number, row in enumerate(rows) if number % 3]
    run = execute_operation(
        declare(declared), scope=Scope.of_keys(r.pk for r in chosen), lanes=lanes, batch_size=7
    )
    assert (run.state, run.sweep, audited_changes(run).keys()) == ("succeeded", 1, primary_keys(chosen))


def test_a_run_over_few_keys_reads_few_rows(declare: RegisterOperation) -> None:
    rows = create_things(3000)
    execute_sql("VACUUM ANALYZE trials_thing")
    before = rows_read()
    run = execute_operation(declare(FILL), scope=Scope.of_keys(row.pk for row in rows[::500]))
    assert (run.state, len(audited_changes(run))) == ("succeeded", 6)
    assert rows_read() - before < 300
    before = rows_read()
    assert len(audited_changes(execute_operation(Revert, params={"run": run.pk}))) == 6
    assert rows_read() - before < 300


def test_the_checks_of_a_run_over_few_keys_read_few_rows(declare: RegisterOperation) -> None:
    rows = create_things(3000)
    execute_sql("VACUUM ANALYZE trials_thing")
    checks = [
        Check("without a note", MISSING),
        Check("of another note", Thing.objects.exclude(note=F("name"))),
    ]
    fill = declare(make_operation(MISSING, {"note": F("name")}, get_checks=lambda self: checks))
    before = rows_read()
    run = execute_operation(fill, scope=Scope.of_keys(row.pk for row in rows[::500]))
    assert (run.state, [check["found"] for check in run.checks]) == ("succeeded", [0, 0])
    assert rows_read() - before < 300


def test_a_retry_reads_the_failed_rows_alone(declare: RegisterOperation) -> None:
    rows = create_things(3000)
    Thing.objects.filter(pk__in=[rows[5].pk, rows[2000].pk]).update(name="far too long")
    run = execute_operation(declare(FILL))
    assert errors_by_object(run).keys() == primary_keys([rows[5], rows[2000]])
    Thing.objects.update(name="t")
    execute_sql("ANALYZE trials_thing")  # autovacuum may have seen it empty, between two tests
    before = rows_read()
    again = execute_operation(FILL, scope=Scope.of_failures(run))
    assert (again.state, audited_changes(again).keys()) == ("succeeded", primary_keys([rows[5], rows[2000]]))
    assert rows_read() - before < 200


def rows_read() -> int:
    """The rows of trials_thing that were read so far, by any kind of scan."""
    execute_sql("SELECT pg_stat_force_next_flush()")
    [(read,)] = execute_sql(
        "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables"
        " WHERE relname = 'trials_thing'"
    )
    return int(read)


def test_many_keys_are_stored_once_each_however_they_are_written(declare: RegisterOperation) -> None:
    row = UuidKeyed.objects.create()
    missing = UuidKeyed.objects.filter(note=None)
    spellings = [str(row.pk), str(row.pk).upper(), row.pk.hex]
    run = execute_operation(declare(make_operation(missing, {"note": "x"})), scope=Scope.of_keys(spellings))
    assert (run.total, list(run.keys.values_list("object_id", flat=True))) == (1, [str(row.pk)])


def test_keys_with_a_collation_of_their_own_find_their_rows(declare: RegisterOperation) -> None:
    execute_sql('CREATE SCHEMA "Other schema"')
    with connection.schema_editor() as editor:
        editor.create_model(Elsewhere)
    Elsewhere.objects.bulk_create(Elsewhere(code=code, after="x") for code in "aBcDe")
    fill = declare(make_operation(Elsewhere.objects.filter(note=None), {"note": "x"}))
    run = execute_operation(fill, scope=Scope.of_keys("aBD"), batch_size=2)
    reverted = execute_operation(Revert, params={"run": run.pk})
    execute_sql('DROP SCHEMA "Other schema" CASCADE')
    assert (audited_changes(run).keys(), audited_changes(reverted).keys()) == (
        {"a", "B", "D"},
        {"a", "B", "D"},
    )


def test_a_revert_of_some_keys_finds_their_audit_rows(declare: RegisterOperation) -> None:
    rows = create_things(30)
    run = execute_operation(declare(FILL))
    some = Scope.of_keys(row.pk for row in rows[::7])
    assert audited_changes(
        execute_operation(Revert, params={"run": run.pk}, scope=some)
    ).keys() == primary_keys(rows[::7])
    rest = execute_operation(Revert, params={"run": run.pk})
    assert audited_changes(rest).keys() == primary_keys([row for row in rows if row not in rows[::7]])


def test_raw_sql_need_not_name_the_table_beside_a_list_of_keys(declare: RegisterOperation) -> None:
    """Such a list has columns called id, run_id and object_id."""
    rows = create_things(30)
    missing = Thing.objects.extra(where=["id > 0"]).alias(is_raw=RawSQL("id = id", ())).filter(is_raw=True)
    fill = declare(make_operation(missing.filter(note=None), {"note": RawSQL("'n' || id", ())}))
    some = rows[::7]
    run = execute_operation(fill, scope=Scope.of_keys(row.pk for row in some), batch_size=3)
    assert {key: progress["note"]["new"] for key, progress in audited_changes(run).items()} == {
        str(row.pk): f"n{row.pk}" for row in some
    }


@isolate_apps("tests.trials")
def test_a_key_that_is_too_long_is_not_truncated_to_another_rows(declare: RegisterOperation) -> None:
    class Short(Model):
        code = CharField(max_length=3, primary_key=True)
        note = CharField(max_length=10, null=True)

        class Meta:
            app_label = "trials"

    with connection.schema_editor() as editor:
        editor.create_model(Short)
    missing = Short._base_manager.filter(note=None)
    Short._base_manager.bulk_create(Short(code=code) for code in ("abc", "x"))
    fill = make_operation(missing, {"note": "x"}, get_checks=lambda self: [Check("without a note", missing)])
    run = execute_operation(declare(fill), scope=Scope.of_keys(["abcd", "x"]))
    with connection.schema_editor() as editor:
        editor.delete_model(Short)
    assert (run.state, audited_changes(run).keys()) == ("succeeded", {"x"})
