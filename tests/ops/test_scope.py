"""Runs over some of the rows: a filter, or certain keys."""

import uuid
from collections.abc import Mapping

import pytest
from django.db import connection
from django.db.models import CharField, F, Model
from django.db.models.expressions import RawSQL
from django.test.utils import isolate_apps

from ops.creation import Request
from ops.exceptions import InvalidScope
from ops.models import Key
from ops.operation import Check
from ops.operations import Revert
from ops.preview import preview
from ops.progress import progress_of
from ops.scope import Scope
from tests.ops.conftest import Declare
from tests.ops.running import audited, create, execute, failures, go, keys, operation, per_row, sql, things
from tests.trials.models import Elsewhere, Owner, TextKeyed, Thing, UuidKeyed

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

MISSING = Thing.objects.filter(note=None)
FILL = operation(MISSING, {"note": F("name")})
FILL_EACH = per_row(MISSING, lambda rows: {row.pk: {"note": row.name} for row in rows}, "note")


@pytest.mark.parametrize("declared", [FILL, FILL_EACH], ids=["changes", "process"])
def test_a_filter_narrows_the_run_its_total_and_its_preview(declare: Declare, declared: type) -> None:
    rows = things(3, score=1) + things(4, score=2)
    scope = Scope(filter={"score": "2"})
    assert preview(Request(declare(declared), "me", scope=scope)).total == 4
    run = execute(declared, scope=scope)
    assert (run.total, audited(run).keys()) == (4, keys(rows[3:]))
    assert run.scope == {"filter": {"score": "2"}, "keys": False}


def test_filters_are_all_to_hold(declare: Declare) -> None:
    rows = things(4, score=2)
    run = execute(declare(FILL), scope=Scope(filter={"score": "2", "name": "t3"}))
    assert audited(run).keys() == {str(rows[2].pk)}


def test_a_filter_may_name_a_foreign_key(declare: Declare) -> None:
    owner = Owner.objects.create(name="Ana")
    mine, _ = things(1, owner=owner) + things(1)
    run = execute(declare(FILL), scope=Scope(filter={"owner": str(owner.pk)}))
    assert audited(run).keys() == {str(mine.pk)}


@pytest.mark.parametrize("declared", [FILL, FILL_EACH], ids=["changes", "process"])
def test_keys_narrow_the_run_and_are_kept_in_their_table(declare: Declare, declared: type) -> None:
    rows = things(6)
    wanted = [rows[1], rows[4]]
    run = create(declare(declared), scope=Scope.of_keys(row.pk for row in wanted))
    assert set(Key.objects.values_list("run", "object_id")) == {(run.pk, str(row.pk)) for row in wanted}
    go(run)
    assert (run.state, run.total, audited(run).keys()) == ("succeeded", 2, keys(wanted))


def test_keys_of_text_and_uuid_find_their_rows(declare: Declare) -> None:
    TextKeyed.objects.bulk_create(TextKeyed(code=code) for code in ("a'%", "b", "c"))
    run = execute(
        declare(operation(TextKeyed.objects.filter(note=None), {"note": "x"})),
        scope=Scope.of_keys(["a'%", "c"]),
    )
    assert audited(run).keys() == {"a'%", "c"}
    row, _ = UuidKeyed.objects.create(), UuidKeyed.objects.create()
    run = execute(
        declare(operation(UuidKeyed.objects.filter(note=None), {"note": "x"})), scope=Scope.of_keys([row.pk])
    )
    assert audited(run).keys() == {str(row.pk)}


def test_no_keys_are_no_rows(declare: Declare) -> None:
    things(3)
    run = execute(declare(FILL), scope=Scope.of_keys([]))
    assert (run.state, run.total, audited(run)) == ("succeeded", 0, {})


def test_a_key_that_is_not_there_is_nothing(declare: Declare) -> None:
    rows = things(2)
    run = execute(declare(FILL), scope=Scope.of_keys([rows[0].pk, 999_999_999]))
    assert (run.total, audited(run).keys()) == (1, {str(rows[0].pk)})


COLUMNS = "id, name, note, score, owner, doubled, updated_at"


@pytest.mark.parametrize(
    ("asked", "words"),
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
    declare: Declare, asked: Mapping[str, str], words: str
) -> None:
    request = Request(declare(FILL), "me", scope=Scope(filter=asked))
    with pytest.raises(InvalidScope) as refused:
        preview(request)
    assert str(refused.value).startswith(words)
    with pytest.raises(InvalidScope):
        create(FILL, scope=request.scope)


def test_keys_that_the_model_cannot_have_are_refused(declare: Declare) -> None:
    with pytest.raises(InvalidScope, match="abc"):
        create(declare(FILL), scope=Scope.of_keys(["abc"]))
    with pytest.raises(InvalidScope, match="abc"):
        create(
            declare(operation(UuidKeyed.objects.filter(note=None), {"note": "x"})),
            scope=Scope.of_keys(["abc"]),
        )


def test_a_uuid_in_capitals_is_the_same_key(declare: Declare) -> None:
    row = UuidKeyed.objects.create(pk=uuid.UUID("abcdefab-cdef-abcd-efab-cdefabcdefab"))
    missing = UuidKeyed.objects.filter(note=None)
    run = execute(declare(operation(missing, {"note": "x"})), scope=Scope.of_keys([str(row.pk).upper()]))
    assert (run.total, audited(run).keys()) == (1, {str(row.pk)})


def test_a_total_is_never_less_than_what_is_done(declare: Declare) -> None:
    rows = things(4)
    Thing.objects.filter(pk__in=[row.pk for row in rows[2:]]).update(note="x")
    run = create(declare(FILL), batch_size=1)
    Thing.objects.update(note=None)  # between the count and the first batch
    go(run)
    told = progress_of(run)
    assert (run.total, told.changed, told.total) == (2, 4, 4)


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("declared", [FILL, FILL_EACH], ids=["changes", "process"])
def test_keys_are_walked_whatever_their_order_as_text(declare: Declare, declared: type, lanes: int) -> None:
    rows = things(120)
    wanted = [row for number, row in enumerate(rows) if number % 3]
    run = execute(declare(declared), scope=Scope.of_keys(r.pk for r in wanted), lanes=lanes, batch_size=7)
    assert (run.state, run.sweep, audited(run).keys()) == ("succeeded", 1, keys(wanted))


def test_a_run_over_few_keys_reads_few_rows(declare: Declare) -> None:
    rows = things(3000)
    sql("VACUUM ANALYZE trials_thing")
    before = rows_read()
    run = execute(declare(FILL), scope=Scope.of_keys(row.pk for row in rows[::500]))
    assert (run.state, len(audited(run))) == ("succeeded", 6)
    assert rows_read() - before < 300
    before = rows_read()
    assert len(audited(execute(Revert, params={"run": run.pk}))) == 6
    assert rows_read() - before < 300


def test_the_checks_of_a_run_over_few_keys_read_few_rows(declare: Declare) -> None:
    rows = things(3000)
    sql("VACUUM ANALYZE trials_thing")
    checks = [
        Check("without a note", MISSING),
        Check("of another note", Thing.objects.exclude(note=F("name"))),
    ]
    fill = declare(operation(MISSING, {"note": F("name")}, get_checks=lambda self: checks))
    before = rows_read()
    run = execute(fill, scope=Scope.of_keys(row.pk for row in rows[::500]))
    assert (run.state, [found["found"] for found in run.checks]) == ("succeeded", [0, 0])
    assert rows_read() - before < 300


def test_a_retry_reads_the_failed_rows_alone(declare: Declare) -> None:
    rows = things(3000)
    Thing.objects.filter(pk__in=[rows[5].pk, rows[2000].pk]).update(name="far too long")
    run = execute(declare(FILL))
    assert failures(run).keys() == keys([rows[5], rows[2000]])
    Thing.objects.update(name="t")
    before = rows_read()
    again = execute(FILL, scope=Scope.of_failures(run))
    assert (again.state, audited(again).keys()) == ("succeeded", keys([rows[5], rows[2000]]))
    assert rows_read() - before < 200


def rows_read() -> int:
    """Rows of things that were read so far, by whatever way."""
    sql("SELECT pg_stat_force_next_flush()")
    [(read,)] = sql(
        "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables"
        " WHERE relname = 'trials_thing'"
    )
    return int(read)


def test_many_keys_are_stored_once_each_however_they_are_written(declare: Declare) -> None:
    row = UuidKeyed.objects.create()
    missing = UuidKeyed.objects.filter(note=None)
    spelt = [str(row.pk), str(row.pk).upper(), row.pk.hex]
    run = execute(declare(operation(missing, {"note": "x"})), scope=Scope.of_keys(spelt))
    assert (run.total, list(run.keys.values_list("object_id", flat=True))) == (1, [str(row.pk)])


def test_keys_with_a_collation_of_their_own_find_their_rows(declare: Declare) -> None:
    sql('CREATE SCHEMA "Other schema"')
    with connection.schema_editor() as editor:
        editor.create_model(Elsewhere)
    Elsewhere.objects.bulk_create(Elsewhere(code=code, after="x") for code in "aBcDe")
    fill = declare(operation(Elsewhere.objects.filter(note=None), {"note": "x"}))
    run = execute(fill, scope=Scope.of_keys("aBD"), batch_size=2)
    reverted = execute(Revert, params={"run": run.pk})
    sql('DROP SCHEMA "Other schema" CASCADE')
    assert (audited(run).keys(), audited(reverted).keys()) == ({"a", "B", "D"}, {"a", "B", "D"})


def test_a_revert_of_some_keys_finds_their_audit_rows(declare: Declare) -> None:
    rows = things(30)
    run = execute(declare(FILL))
    some = Scope.of_keys(row.pk for row in rows[::7])
    assert audited(execute(Revert, params={"run": run.pk}, scope=some)).keys() == keys(rows[::7])
    rest = execute(Revert, params={"run": run.pk})
    assert audited(rest).keys() == keys([row for row in rows if row not in rows[::7]])


def test_raw_sql_need_not_name_the_table_beside_a_list_of_keys(declare: Declare) -> None:
    """Such a list has columns called id, run_id and object_id."""
    rows = things(30)
    missing = Thing.objects.extra(where=["id > 0"]).alias(is_raw=RawSQL("id = id", ())).filter(is_raw=True)
    fill = declare(operation(missing.filter(note=None), {"note": RawSQL("'n' || id", ())}))
    some = rows[::7]
    run = execute(fill, scope=Scope.of_keys(row.pk for row in some), batch_size=3)
    assert {key: told["note"]["new"] for key, told in audited(run).items()} == {
        str(row.pk): f"n{row.pk}" for row in some
    }


@isolate_apps("tests.trials")
def test_a_key_that_is_too_long_is_not_cut_to_that_of_another_row(declare: Declare) -> None:
    class Short(Model):
        code = CharField(max_length=3, primary_key=True)
        note = CharField(max_length=10, null=True)

        class Meta:
            app_label = "trials"

    with connection.schema_editor() as editor:
        editor.create_model(Short)
    missing = Short._base_manager.filter(note=None)
    Short._base_manager.bulk_create(Short(code=code) for code in ("abc", "x"))
    fill = operation(missing, {"note": "x"}, get_checks=lambda self: [Check("without a note", missing)])
    run = execute(declare(fill), scope=Scope.of_keys(["abcd", "x"]))
    with connection.schema_editor() as editor:
        editor.delete_model(Short)
    assert (run.state, audited(run).keys()) == ("succeeded", {"x"})
