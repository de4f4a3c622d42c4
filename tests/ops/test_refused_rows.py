"""Rows that the database leaves unchanged without an error: a run over them does not succeed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import DatabaseError

from ops.engine import failures as engine_failures
from ops.engine.locks import LAST_SWEEP
from ops.exceptions import AllRowsFailed
from ops.models import Run
from ops.report import run as report
from tests.ops.conftest import RegisterOperation
from tests.ops.running import (
    BOTH,
    FILL,
    MISSING,
    RecordingMonitor,
    audited_changes,
    create_run,
    create_things,
    errors_by_object,
    execute_operation,
    execute_run,
    execute_sql,
    override_connection,
    primary_keys,
)
from tests.trials.models import Thing

pytestmark = pytest.mark.django_db(transaction=True)

# Roles belong to the server, which other test processes use too.
PLAIN = f"trials_plain_{os.environ.get('PYTEST_XDIST_WORKER', '')}"


@pytest.fixture
def secured(transactional_db: None) -> Iterator[Any]:
    """``with secured(policies)``: as a plain role, under row-level security that lets it read every row."""
    execute_sql(
        f"CREATE ROLE {PLAIN} LOGIN PASSWORD 'x';"
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {PLAIN};"
        f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {PLAIN};"
        "ALTER TABLE trials_thing ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY trials_read ON trials_thing FOR SELECT USING (true)"
    )

    @contextmanager
    def secured(policy: str) -> Iterator[None]:
        execute_sql(f"CREATE POLICY trials_write ON trials_thing FOR UPDATE {policy}")
        with override_connection(USER=PLAIN, PASSWORD="x"):
            yield

    yield secured
    execute_sql(
        "DROP POLICY trials_read ON trials_thing; DROP POLICY IF EXISTS trials_write ON trials_thing;"
        "ALTER TABLE trials_thing DISABLE ROW LEVEL SECURITY;"
        f"DROP OWNED BY {PLAIN}; DROP ROLE {PLAIN}"
    )


@BOTH
def test_rows_that_a_role_may_read_but_not_change_are_failures(
    declare: RegisterOperation, secured: Any, declared: Any
) -> None:
    writable, read_only = create_things(3, score=1), create_things(4, score=2)
    with secured("USING (score = 1)"):
        run = execute_operation(declare(declared))
        assert run.state == "finished_with_failures"
        assert audited_changes(run).keys() == primary_keys(writable)
        errors = errors_by_object(run)
    assert errors.keys() == primary_keys(read_only)
    assert all("not changed: " in reason for reason in errors.values())


@BOTH
def test_rows_that_a_policy_does_not_let_be_written_fail_alone(
    declare: RegisterOperation, secured: Any, declared: Any
) -> None:
    rows = create_things(5)
    with secured("USING (true) WITH CHECK (note <> 't3')"):
        run = execute_operation(declare(declared))
        errors = errors_by_object(run)
    assert (run.state, audited_changes(run).keys()) == (
        "finished_with_failures",
        primary_keys([*rows[:2], *rows[3:]]),
    )
    assert errors.keys() == primary_keys([rows[2]])
    assert "violates row-level security policy" in errors[str(rows[2].pk)]


def test_a_missing_privilege_is_no_rows_fault(declare: RegisterOperation, secured: Any) -> None:
    create_things(3)
    execute_sql(
        f"REVOKE UPDATE ON trials_thing FROM {PLAIN}; GRANT UPDATE (score) ON trials_thing TO {PLAIN}"
    )
    with secured("USING (true)"):
        run = create_run(declare(FILL))
        with pytest.raises(DatabaseError, match="permission denied for table trials_thing"):
            execute_run(run)
        run.refresh_from_db()
        assert (run.state, errors_by_object(run)) == ("failed", {})


@pytest.mark.parametrize("rule", ["", "WHERE OLD.score = 2"])
def test_a_rule_that_writes_nothing_instead_fails_the_run(declare: RegisterOperation, rule: str) -> None:
    create_things(3, score=2)
    execute_sql(f"CREATE RULE trials_nothing AS ON UPDATE TO trials_thing {rule} DO INSTEAD NOTHING")
    try:
        run = create_run(declare(FILL))
        with pytest.raises(DatabaseError):
            execute_run(run)
    finally:
        execute_sql("DROP RULE trials_nothing ON trials_thing")
    run.refresh_from_db()
    assert (run.state, audited_changes(run)) == ("failed", {})


def test_a_trigger_that_keeps_rows_leaves_as_many_failures(declare: RegisterOperation, trigger: Any) -> None:
    kept, others = create_things(30, score=1), create_things(30)
    trigger("trials_thing", "IF OLD.score = 1 THEN RETURN NULL; END IF; RETURN NEW;")
    run = execute_operation(declare(FILL), lanes=3)
    assert run.state == "finished_with_failures"
    assert (errors_by_object(run).keys(), audited_changes(run).keys()) == (
        primary_keys(kept),
        primary_keys(others),
    )


def test_too_many_unchanged_rows_in_succession_stop_the_run(
    declare: RegisterOperation, trigger: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_failures, "_UNCHANGED_ROW_LIMIT", 5)
    create_things(3), create_things(12, score=1)
    trigger("trials_thing", "IF OLD.score = 1 THEN RETURN NULL; END IF; RETURN NEW;")
    run = create_run(declare(FILL))
    message = "the database left 5 rows unchanged in succession; 7 more were not tried"
    with pytest.raises(AllRowsFailed, match=message):
        execute_run(run)
    run.refresh_from_db()
    assert (run.state, len(errors_by_object(run)), len(audited_changes(run))) == ("failed", 5, 3)


def test_rows_that_come_during_the_last_sweep_are_swept_or_noted(declare: RegisterOperation) -> None:
    rows = create_things(9, note="old") + create_things(1)

    def make_late(batch: int) -> None:
        """Whenever none is left, a player makes one more behind the cursor."""
        if not MISSING.exists():
            last = Thing.objects.filter(note="old").latest("pk")
            Thing.objects.filter(pk=last.pk).update(note=None)

    run = create_run(declare(FILL))
    Run.objects.update(sweep=LAST_SWEEP)
    execute_run(run, RecordingMonitor(make_late))
    assert (run.state, errors_by_object(run)) == ("succeeded", {})
    assert audited_changes(run).keys() == primary_keys([rows[7], rows[8], rows[9]])
    label = "things that were changed during the last sweep and need the run again"
    assert run.checks == [{"label": label, "found": 1, "sample": [str(rows[6].pk)], "late": True}]
    assert f"  note    {label}: 1, such as {rows[6].pk}" in report.format_summary(run)
