"""The image of a value in an audit row does not depend on the settings of the session that writes it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from django.db.models.expressions import RawSQL

from ops import bulk_load
from ops.db import canonical_output, read_only_snapshot
from ops.engine import locks
from ops.models import AuditLog, Run
from ops.operations.revert import Revert
from ops.runs.creation import RunRequest
from ops.runs.preview import build_preview
from ops.runs.rebuild import rebuild_operation
from ops.sql.changes import AuditContext
from ops.sql.copy_out import open_json_stream
from ops.sql.recorded import audit_changes
from ops.sql.staging import StagingTable
from ops.sql.upsert import Upsert
from tests.ops.conftest import RegisterOperation
from tests.ops.running import (
    audited_changes,
    create_run,
    errors_by_object,
    execute_operation,
    execute_run,
    execute_sql,
    make_operation,
    make_row_operation,
)
from tests.trials.models import Shown

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

HOSTILE = {
    "TimeZone": "Asia/Kolkata",
    "DateStyle": "ISO, DMY",
    "IntervalStyle": "sql_standard",
    "bytea_output": "escape",
    "extra_float_digits": "0",
}
COLUMNS = [field for field in Shown._meta.concrete_fields if field.name not in ("id", "done")]
PLAIN = [
    "2024-02-28 01:00+00", "{2024-02-28 01:00+00}", "[2024-02-28 01:00+00,)", "{[2024-02-28 01:00+00,)}",
    "[2024-02-01,2024-03-04)", "10:00+02", "1 day", "{1 day}", "\\x00ff", '{"\\\\x00ff"}', "0.3", "0.1",
    "{0.3}", "1.50", "(0.3,2024-02-28 01:00+00)", '{"(0.3,)"}', '{"a": 0.3}',
]  # fmt: skip
# Under HOSTILE, each has another image, except the time, the money, and the digits in the JSON.
ODD = [
    "2024-02-29 23:59:58.5+00", "{2024-02-29 23:59:58.5+00,NULL}", "[2024-02-29 23:59:58.5+00,)",
    "{[2024-02-29 23:59:58.5+00,)}", "[2024-02-01,2024-04-05)", "11:00+02",
    "-1 year -2 mons +3 days -04:05:06.7",
    '{"1 year 2 mons -3 days 04:05:06.7"}', "\\x00ff41", '{"\\\\x00ff41"}', "0.30000000000000004",
    "0.100000024", "{0.30000000000000004}", "2.50", '(0.30000000000000004,"2024-02-29 23:59:58.5+00")',
    '{"(0.30000000000000004,)"}', '{"a": 0.30000000000000004}',
]  # fmt: skip
ROWS = Shown.objects.filter(done=False)
Fill = Callable[[list[str]], None]


@contextmanager
def hostile() -> Iterator[None]:
    """Give new sessions other settings than the test had before."""
    name = connection.settings_dict["NAME"]
    for setting, value in HOSTILE.items():
        execute_sql(f"ALTER DATABASE \"{name}\" SET {setting} = '{value}'")
    connection.close()
    try:
        assert execute_sql("SHOW extra_float_digits") == [("0",)]
        yield
    finally:
        execute_sql(f'ALTER DATABASE "{name}" RESET ALL')
        connection.close()


@pytest.fixture
def fill(transactional_db: None) -> Iterator[Fill]:
    """``fill(values)`` replaces the rows of the table by one row of the values."""
    execute_sql("CREATE TYPE trials_pair AS (number float8, moment timestamptz)")
    columns = ", ".join(f'"{field.column}" {field.db_type(connection)}' for field in COLUMNS)
    execute_sql(f"CREATE TABLE trials_shown (id bigint PRIMARY KEY, done boolean DEFAULT false, {columns})")

    def fill(values: list[str]) -> None:
        execute_sql("DELETE FROM trials_shown")
        execute_sql(f"INSERT INTO trials_shown VALUES (1, false{', %s' * len(values)})", *values)

    yield fill
    execute_sql("DROP TABLE trials_shown; DROP TYPE trials_pair")


def stored() -> list[tuple[Any, ...]]:
    columns = ", ".join(f'"{field.column}"::text' for field in COLUMNS)
    return execute_sql(f"SELECT {columns} FROM trials_shown")


def by_changes(values: list[str], declare: RegisterOperation) -> Any:
    return audited_changes(changed(values, declare))["1"]


def changed(values: list[str], declare: RegisterOperation) -> Run:
    new = {field.name: RawSQL("%s::text", [value]) for field, value in zip(COLUMNS, values, strict=True)}
    return succeeded(execute_operation(declare(make_operation(ROWS, {**new, "done": True}))))


def by_process(values: list[str], declare: RegisterOperation) -> Any:
    """process() does not accept arrays and pairs as text."""
    named = zip((field.name for field in COLUMNS), values, strict=True)
    new = {name: value for name, value in named if value[0] not in "{(" and name != "data"}
    operation = make_row_operation(
        ROWS, lambda rows: {row.pk: {**new, "done": True} for row in rows}, *new, "done"
    )
    return audited_changes(succeeded(execute_operation(declare(operation))))["1"]


def by_a_load(values: list[str], declare: RegisterOperation) -> Any:
    with StagingTable(Shown, ["id", *(field.name for field in COLUMNS)]) as staging:
        staging.copy_in([[1, 1, *values]])
        assert bulk_load.preview(Upsert(staging, "id")).counts.changed == 1
        bulk_load.execute(Upsert(staging, "id"), AuditContext("load", "tester", {}))
        assert bulk_load.preview(Upsert(staging, "id")).counts.unchanged == 1
    return AuditLog.objects.get(action="load").changes


def by_a_person(values: list[str], declare: RegisterOperation) -> Any:
    with audit_changes(Shown(pk=1), "admin_change", "tester"):
        assignments = ", ".join(f'"{field.column}" = %s' for field in COLUMNS)
        execute_sql(f"UPDATE trials_shown SET {assignments}", *values)
    return AuditLog.objects.get(action="admin_change").changes


def succeeded(run: Run) -> Run:
    assert run.state == "succeeded", errors_by_object(run)
    return run


@pytest.mark.parametrize("write", [by_changes, by_process, by_a_load, by_a_person])
def test_every_writer_and_session_writes_the_same_image(
    declare: RegisterOperation, fill: Fill, write: Any
) -> None:
    fill(PLAIN)
    usual = write(ODD, declare)
    execute_sql(
        "SET session_replication_role = replica; DELETE FROM audit_logs; RESET session_replication_role"
    )
    fill(PLAIN)
    with hostile():
        other = write(ODD, declare)
    assert other == usual


@pytest.mark.parametrize(("old", "new"), [(PLAIN, ODD), (ODD, PLAIN)])
@pytest.mark.parametrize("sweep", [1, 2, locks.LAST_SWEEP])
def test_a_revert_with_other_settings_restores_exactly(
    declare: RegisterOperation, fill: Fill, old: list[str], new: list[str], sweep: int
) -> None:
    fill(old)
    before = stored()
    run = changed(new, declare)
    with hostile():
        request = {"params": {"run": run.pk}}
        preview = build_preview(RunRequest(Revert, "tester", **request))  # type: ignore[arg-type]
        assert (preview.total, preview.notes) == (1, [])
        revert = create_run(Revert, **request)
        Run.objects.filter(pk=revert.pk).update(sweep=sweep)
        assert succeeded(execute_run(revert)).total == 1
        assert list(rebuild_operation(revert).get_notes(revert)) == []
    assert stored() == before


def test_a_run_with_other_settings_is_reverted_exactly(declare: RegisterOperation, fill: Fill) -> None:
    fill(ODD)
    before = stored()
    with hostile():
        run = changed(PLAIN, declare)
    succeeded(execute_operation(Revert, params={"run": run.pk}))
    assert stored() == before


def test_an_export_does_not_depend_on_settings(fill: Fill) -> None:
    fill(ODD)
    usual = exported()
    with hostile():
        assert exported() == usual


def exported() -> bytes:
    with read_only_snapshot(), open_json_stream(Shown.objects.all(), {}) as blocks:
        return b"".join(bytes(row) for block in blocks for row in block)


def test_no_setting_outlives_the_transaction() -> None:
    names = [setting for setting in HOSTILE if setting != "TimeZone"]  # Django sets that one itself
    with hostile():
        for transaction in (read_only_snapshot, canonical_output):
            with transaction():
                assert execute_sql("SHOW extra_float_digits") == [("1",)]
            assert [execute_sql(f"SHOW {setting}")[0][0] for setting in names] == [HOSTILE[s] for s in names]
