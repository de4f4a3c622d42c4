"""Querysets with subqueries, tables in another schema, collated keys, and partitioned tables."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import Exists, F, OuterRef, Q, Subquery
from django.db.models.expressions import RawSQL
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ops.engine import locks, loop
from ops.models import Run
from ops.operations import registry
from ops.operations.validation import has_subquery
from tests.ops.conftest import RegisterOperation
from tests.ops.running import (
    audited_changes,
    commit_when_awaited,
    create_run,
    create_things,
    errors_by_object,
    execute_operation,
    execute_run,
    execute_sql,
    make_operation,
    player,
    primary_keys,
)
from tests.trials.models import Elsewhere, Owner, Thing

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

PLAIN = Exists(Owner.objects.filter(pk=OuterRef("owner"), name="plain"))
NO_VIP = ~Exists(Owner.objects.filter(pk=OuterRef("owner"), name="vip"))


@pytest.mark.parametrize("sweep", [1, locks.LAST_SWEEP])
@pytest.mark.parametrize(
    ("condition", "name", "is_changed"),
    [(NO_VIP, "vip", False), (PLAIN, "vip", False), (PLAIN, "plain", True)],
    ids=["no candidate by another row", "no candidate for want of one", "a candidate by another row"],
)
def test_a_subquery_is_evaluated_again_for_a_row_after_its_lock(
    declare: RegisterOperation,
    monkeypatch: pytest.MonkeyPatch,
    sweep: int,
    condition: Any,
    name: str,
    is_changed: bool,
) -> None:
    """Where PostgreSQL joins that table, it checks a row that changed meanwhile against the old owner."""
    monkeypatch.setattr(locks, "_SHORT_LOCK_TIMEOUT", timedelta(seconds=5))
    monkeypatch.setattr(locks, "LOCK_TIMEOUT", timedelta(seconds=5))
    monkeypatch.setattr(loop, "SWEEP_DELAY", timedelta())
    rows = create_things(4, owner=Owner.objects.create(name="plain"))
    other_owner = Owner.objects.create(name=name)
    run = create_run(
        declare(make_operation(lambda: Thing.objects.filter(condition, note=None), {"note": "x"}))
    )
    Run.objects.update(sweep=sweep)
    with player() as other:
        other.execute("UPDATE trials_thing SET owner_id = %s WHERE id = %s", [other_owner.pk, rows[1].pk])
        with commit_when_awaited(other):
            execute_run(run)
    assert run.state == "succeeded"
    assert audited_changes(run).keys() == primary_keys(rows if is_changed else [rows[0], *rows[2:]])


OWNERS = Owner.objects.filter(name="plain").values("pk")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (Thing.objects.filter(PLAIN | Q(note=None)), True),
        (Thing.objects.alias(plain=PLAIN).filter(plain=True), True),
        (Thing.objects.exclude(owner__in=OWNERS), True),
        (Thing.objects.filter(owner__in=Subquery(OWNERS)), True),
        (Thing.objects.exclude(tags__label="x"), True),
        (Thing.objects.alias(raw=RawSQL("EXISTS (SELECT)", ())).filter(raw=True), True),
        (Thing.objects.filter(owner__in=[1, 2], score__in=[F("pk")]), False),
        (Thing.objects.filter(owner=Subquery(OWNERS[:1])), False),
    ],
)
def test_subqueries_over_other_tables_are_detected(rows: Any, expected: bool) -> None:
    assert has_subquery(make_operation(rows, {"note": "x"})({}, timezone.now())) is expected


def test_a_trigger_that_fails_on_another_table_does_not_slow_bisection(
    declare: RegisterOperation, trigger: Any
) -> None:
    """The error names a row of the other table, here with a key lower than all of ours."""
    rows = create_things(200)
    execute_sql("CREATE TEMPORARY TABLE notes (level integer DEFAULT 0, message text NOT NULL)")
    trigger(
        "trials_thing",
        "INSERT INTO notes (message) VALUES (nullif(NEW.name, 't150')); RETURN NEW;",
        "AFTER UPDATE",
    )
    with CaptureQueriesContext(connection) as queries:
        run = execute_operation(
            declare(make_operation(Thing.objects.filter(note=None), {"note": "x"})), batch_size=200
        )
    execute_sql("DROP TABLE notes")
    assert errors_by_object(run).keys() == primary_keys([rows[149]])
    assert audited_changes(run).keys() == primary_keys(rows) - errors_by_object(run).keys()
    assert len([query for query in queries if "audited AS" in query["sql"]]) < 30


@pytest.fixture
def elsewhere(transactional_db: None) -> Iterator[None]:
    execute_sql('CREATE SCHEMA "Other schema"')
    with connection.schema_editor() as editor:
        editor.create_model(Elsewhere)
    yield
    execute_sql('DROP SCHEMA "Other schema" CASCADE')


@pytest.mark.usefixtures("elsewhere")
def test_a_table_may_be_in_another_schema(declare: RegisterOperation) -> None:
    rows = Elsewhere.objects.bulk_create(Elsewhere(code=code, after="x") for code in "aBc")
    missing = Elsewhere.objects.filter(note=None)
    with player() as other:  # so that both lock modes have rows
        other.execute("SELECT FROM \"Other schema\".changed WHERE code = 'a' FOR UPDATE")
        swap = declare(make_operation(missing, {"note": F("after"), "after": F("note")}))
        run = execute_operation(swap, batch_size=2)
    assert errors_by_object(run).keys() == primary_keys(rows[:1])
    swapped = {"order": {"old": None, "new": "x"}, "after": {"old": "x", "new": None}}
    assert audited_changes(run) == dict.fromkeys(primary_keys(rows[1:]), swapped)
    revert = execute_operation(registry.get_operation("revert"), params={"run": run.pk})
    assert audited_changes(revert).keys() == primary_keys(rows[1:])
    assert missing.filter(after="x").count() == 3


@pytest.mark.usefixtures("elsewhere")
def test_a_revert_uses_the_index_whatever_the_collation_of_the_key(
    declare: RegisterOperation,
) -> None:
    Elsewhere.objects.bulk_create(Elsewhere(code=f"k{number}", after="x") for number in range(600))
    run = execute_operation(
        declare(make_operation(Elsewhere.objects.filter(note=None), {"note": "x"})), batch_size=100
    )
    before = _entries_read()
    assert (
        len(
            audited_changes(
                execute_operation(registry.get_operation("revert"), params={"run": run.pk}, batch_size=100)
            )
        )
        == 600
    )
    # A few index reads for each row; without the key in the index, each would read half of the run.
    assert _entries_read() - before < 20 * 600


def _entries_read() -> int:
    execute_sql("SELECT pg_stat_force_next_flush()")
    query = "SELECT sum(idx_tup_read)::int FROM pg_stat_user_indexes WHERE relname = 'audit_logs'"
    [(read,)] = execute_sql(query)
    return int(read)


@pytest.fixture
def partitioned(transactional_db: None) -> Iterator[list[Thing]]:
    """Twenty things in a table that is partitioned by score: 0 and others."""
    rows = create_things(20)
    execute_sql(
        "CREATE TABLE parted (LIKE trials_thing INCLUDING DEFAULTS INCLUDING GENERATED)"
        " PARTITION BY LIST (score);"
        "CREATE TABLE parted_none PARTITION OF parted FOR VALUES IN (0);"
        "CREATE TABLE parted_some PARTITION OF parted DEFAULT;"
        "ALTER TABLE parted ADD PRIMARY KEY (id, score);"
        "INSERT INTO parted (id, name, score, updated_at)"
        " SELECT id, name, score, updated_at FROM trials_thing;"
        "ALTER TABLE trials_thing RENAME TO kept; ALTER TABLE parted RENAME TO trials_thing"
    )
    yield rows
    execute_sql("DROP TABLE trials_thing; ALTER TABLE kept RENAME TO trials_thing")


def test_a_run_may_move_rows_to_another_partition(
    declare: RegisterOperation, partitioned: list[Thing]
) -> None:
    run = execute_operation(
        declare(make_operation(Thing.objects.filter(score=0), {"score": 5, "note": F("name")}))
    )
    assert audited_changes(run) == {
        str(row.pk): {"score": {"old": 0, "new": 5}, "note": {"old": None, "new": row.name}}
        for row in partitioned
    }
    reverted = execute_operation(registry.get_operation("revert"), params={"run": run.pk})
    assert audited_changes(reverted).keys() == primary_keys(partitioned)
    assert Thing.objects.filter(score=0, note=None).count() == 20


@pytest.mark.parametrize("sweep", [1, locks.LAST_SWEEP])
def test_a_row_that_a_player_moves_to_another_partition_is_changed_there(
    declare: RegisterOperation, partitioned: list[Thing], sweep: int
) -> None:
    run = create_run(declare(make_operation(Thing.objects.filter(note=None), {"note": F("name")})))
    Run.objects.update(sweep=sweep)
    with player() as other:
        other.execute("UPDATE trials_thing SET score = 3 WHERE name = 't3'")
        with commit_when_awaited(other):
            execute_run(run)
    assert (run.state, errors_by_object(run)) == ("succeeded", {})
    assert audited_changes(run).keys() == primary_keys(partitioned)
