"""Rows, batches, the cursor: every row that needs the change gets it once, with one audit row."""

import datetime as dt
import itertools
import uuid
from typing import Any

import pytest
from django.db import IntegrityError
from django.db.models import F, QuerySet

from ops.engine.statement import LockMode, compile_change, may_merge
from ops.models import AuditLog
from ops.operations.revert import Revert
from ops.sql.keyset import Keyset
from tests.ops.conftest import RegisterOperation
from tests.ops.running import (
    BOTH,
    FILL,
    RecordingMonitor,
    audited_changes,
    create_run,
    create_things,
    errors_by_object,
    execute_operation,
    execute_run,
    execute_sql,
    make_operation,
    make_row_operation,
    primary_keys,
)
from tests.trials.models import DateKeyed, Owner, Profile, TextKeyed, Thing, UuidKeyed

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]


@BOTH
def test_thousands_of_rows_get_one_audit_row_each(declare: RegisterOperation, declared: Any) -> None:
    rows = create_things(3000)
    run = execute_operation(declare(declared))
    assert (run.state, run.total) == ("succeeded", 3000)
    assert audited_changes(run) == {str(row.pk): {"note": {"old": None, "new": row.name}} for row in rows}
    assert not Thing.objects.exclude(note=F("name")).exists()
    assert run.lanes.get().changed == 3000


def test_an_audit_row_has_the_user_the_object_and_the_run(declare: RegisterOperation) -> None:
    (row,) = create_things(1)
    run = execute_operation(declare(FILL))
    entry = AuditLog.objects.values().get()
    assert entry.pop("created_at") > row.updated_at
    del entry["id"]
    assert entry == {
        "run_id": run.pk,
        "action": "trial",
        "object_type": "trials.thing",
        "object_id": str(row.pk),
        "performed_by": "tester",
        "changes": {"note": {"old": None, "new": "t1"}},
        "metadata": None,
    }


THEN = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
NOT_THEN = Thing.objects.exclude(updated_at=THEN)


@pytest.mark.parametrize(
    "declared",
    [
        make_operation(NOT_THEN, {"updated_at": THEN}),
        make_row_operation(
            NOT_THEN, lambda rows: {row.pk: {"updated_at": THEN} for row in rows}, "updated_at"
        ),
    ],
)
def test_an_operation_may_write_a_field_with_auto_now(declare: RegisterOperation, declared: Any) -> None:
    (row,) = create_things(1)
    run = execute_operation(declare(declared))
    assert (run.state, Thing.objects.get().updated_at) == ("succeeded", THEN)
    change = audited_changes(run)[str(row.pk)]["updated_at"]
    times = {name: dt.datetime.fromisoformat(text) for name, text in change.items()}
    assert times == {"old": row.updated_at, "new": THEN}
    assert execute_operation(Revert, params={"run": run.pk}).state == "succeeded"
    assert Thing.objects.get().updated_at == row.updated_at


@BOTH
@pytest.mark.parametrize("lanes", [1, 3])
def test_a_pinned_size_bounds_every_batch(declare: RegisterOperation, declared: Any, lanes: int) -> None:
    create_things(100)
    changed: list[int] = []
    monitor = RecordingMonitor(lambda number: changed.append(AuditLog.objects.count()))
    run = execute_operation(declare(declared), monitor, batch_size=7, lanes=lanes)
    assert max(after - before for before, after in itertools.pairwise([0, *changed])) == 7
    assert (run.state, len(audited_changes(run))) == ("succeeded", 100)


@BOTH
def test_lanes_divide_the_keys_and_lose_none(declare: RegisterOperation, declared: Any) -> None:
    create_things(100)
    run = execute_operation(declare(declared), lanes=4)
    assert len(audited_changes(run)) == 100
    assert [lane.changed for lane in run.lanes.order_by("number")] == [25, 25, 25, 25]


@BOTH
@pytest.mark.parametrize("lanes", [1, 5])
def test_an_empty_table_succeeds_at_once(declare: RegisterOperation, declared: Any, lanes: int) -> None:
    run = execute_operation(declare(declared), lanes=lanes)
    assert (run.state, run.total, audited_changes(run)) == ("succeeded", 0, {})


@BOTH
def test_more_lanes_than_rows_lose_nothing(declare: RegisterOperation, declared: Any) -> None:
    rows = create_things(3)
    assert audited_changes(execute_operation(declare(declared), lanes=8)).keys() == primary_keys(rows)


@BOTH
def test_gaps_between_the_keys_lose_no_row(declare: RegisterOperation, declared: Any) -> None:
    rows = [Thing(pk=10**number, name=f"t{number}") for number in range(1, 13)]
    Thing.objects.bulk_create(rows)
    run = execute_operation(declare(declared), batch_size=2)
    assert audited_changes(run).keys() == primary_keys(rows)


@BOTH
def test_few_candidates_among_many_rows_are_all_found(declare: RegisterOperation, declared: Any) -> None:
    rows = create_things(2000, note="x")
    rare = rows[3::499]
    Thing.objects.filter(pk__in=[row.pk for row in rare]).update(note=None)
    run = execute_operation(declare(declared))
    assert audited_changes(run).keys() == primary_keys(rare)
    assert run.total == len(rare)


def test_a_table_without_statistics_is_not_sorted_for_every_batch(
    declare: RegisterOperation,
) -> None:
    create_things(6000)
    before = _keys_read()
    run = execute_operation(declare(FILL), batch_size=50)
    assert len(audited_changes(run)) == 6000
    # Some times each; batches that gather all the keys ahead of them would read sixty times as many.
    assert _keys_read() - before < 20 * 6000


def _keys_read() -> int:
    execute_sql("SELECT pg_stat_force_next_flush()")
    [(read,)] = execute_sql(
        "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'trials_thing_pkey'"
    )
    return int(read)


@pytest.mark.parametrize("mode", LockMode)
def test_a_batch_counts_its_rows_once(mode: LockMode) -> None:
    if mode is LockMode.MERGE and not may_merge(Thing):
        pytest.skip("this server has no RETURNING OLD in MERGE")
    now = dt.datetime.now(dt.UTC)
    statement = compile_change(FILL({}, now), Thing.objects.filter(note=None), Keyset(Thing), mode)
    assert statement
    audit, cursor = (1, "trial", "trials.thing", "me"), (9, "9", 9, False, 1)
    limit = () if mode is LockMode.MERGE else (9,)
    plan = str(execute_sql(f"EXPLAIN {statement.sql}", *statement.params, *limit, *audit, *cursor))
    assert plan.count("Aggregate") == 2  # of those selected, and of those audited


@BOTH
def test_the_cursor_follows_the_keys_and_not_their_text(declare: RegisterOperation, declared: Any) -> None:
    rows = Thing.objects.bulk_create(Thing(pk=pk, name="x") for pk in (2, 9, 10, 11, 99, 100, 101, 1000))
    monitor = RecordingMonitor()
    run = execute_operation(declare(declared), monitor, batch_size=3)
    assert audited_changes(run).keys() == primary_keys(rows)
    assert run.sweep == 1


@BOTH
def test_no_rows_at_all_may_be_declared(declare: RegisterOperation, declared: Any) -> None:
    create_things(3)
    none = {"get_queryset": lambda self: Thing.objects.none()}
    run = execute_operation(declare(type("Nothing", (declared,), none)))
    assert (run.state, run.total, audited_changes(run)) == ("succeeded", 0, {})


@BOTH
def test_rows_newer_than_the_run_are_left_alone(declare: RegisterOperation, declared: Any) -> None:
    rows = create_things(10)
    run = create_run(declare(declared), batch_size=4)
    newer = Thing.objects.create(name="new")
    execute_run(run, RecordingMonitor(lambda number: Thing.objects.create(name="newer")))
    assert (run.state, audited_changes(run).keys()) == ("succeeded", primary_keys(rows))
    newer.refresh_from_db()
    assert newer.note is None


@BOTH
def test_what_a_player_changes_after_the_run_is_not_changed_again(
    declare: RegisterOperation, declared: Any
) -> None:
    rows = create_things(10)
    takes_back = RecordingMonitor(lambda number: Thing.objects.filter(pk=rows[0].pk).update(note=None))
    run = execute_operation(declare(declared), takes_back, batch_size=2)
    assert (run.state, audited_changes(run).keys()) == ("succeeded", primary_keys(rows))
    rows[0].refresh_from_db()
    assert rows[0].note is None


@BOTH
def test_a_second_run_finds_nothing_to_do(declare: RegisterOperation, declared: Any) -> None:
    create_things(5)
    declare(declared)
    execute_operation(declared)
    assert audited_changes(execute_operation(declared)) == {}


def test_the_database_refuses_a_second_audit_row_of_an_object_in_a_run(declare: RegisterOperation) -> None:
    create_things(1)
    run = execute_operation(declare(FILL))
    row = AuditLog.objects.get()
    row.pk = None
    with pytest.raises(IntegrityError, match="audit_logs_run_object_uniq"):
        row.save()
    AuditLog.objects.create(action="x", object_type="y", object_id=row.object_id, changes={}, run=None)
    AuditLog.objects.create(action="x", object_type="y", object_id=row.object_id, changes={}, run=None)
    assert AuditLog.objects.filter(run=run).count() == 1


WEIRD = [
    "",
    " ",
    "'",
    '"',
    "%s",
    "%",
    "\\",
    "\\n",
    "é",
    "e\u0301",
    "🐦",
    "a,b",
    "{}",
    "NULL",
    "Z",
    "a",
    "10",
    "9",
]


@pytest.mark.parametrize(
    ("create", "rows"),
    [
        (lambda: TextKeyed.objects.bulk_create(TextKeyed(code=code) for code in WEIRD), TextKeyed.objects),
        (
            lambda: UuidKeyed.objects.bulk_create(UuidKeyed(id=uuid.uuid4()) for _ in range(9)),
            UuidKeyed.objects,
        ),
        (
            lambda: DateKeyed.objects.bulk_create(
                DateKeyed(day=dt.date(y, 1, 2)) for y in (1, 999, 2024, 9999)
            ),
            DateKeyed.objects,
        ),
        (lambda: [Profile.objects.create(owner=Owner.objects.create()) for _ in range(4)], Profile.objects),
    ],
    ids=["text", "uuid", "date", "foreign key"],
)
@pytest.mark.parametrize("kind", ["changes", "process"])
@pytest.mark.parametrize("lanes", [1, 2])
def test_any_type_of_key_can_be_advanced_along(
    declare: RegisterOperation, create: Any, rows: Any, kind: str, lanes: int
) -> None:
    created = create()
    missing: QuerySet[Any] = rows.filter(note=None)
    declared = make_operation(missing, {"note": "x"})
    if kind == "process":
        declared = make_row_operation(missing, lambda batch: {row.pk: {"note": "x"} for row in batch}, "note")
    run = execute_operation(declare(declared), batch_size=2, lanes=lanes)
    assert errors_by_object(run) == {}
    assert (run.state, run.sweep) == ("succeeded", 1)
    assert audited_changes(run).keys() == primary_keys(created)
