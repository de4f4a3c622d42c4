"""The audit log is append-only."""

import pytest
from django.db import DatabaseError
from django.db.models import F

from ops.models import AuditLog
from tests.ops.conftest import RegisterOperation
from tests.ops.running import create_things, execute_operation, execute_sql, make_operation
from tests.trials.models import Thing

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def row(declare: RegisterOperation) -> AuditLog:
    create_things(1)
    execute_operation(declare(make_operation(Thing.objects.filter(note=None), {"note": F("name")})))
    return AuditLog.objects.get()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_logs SET performed_by = 'nobody'",
        "DELETE FROM audit_logs",
        "TRUNCATE audit_logs",
        "TRUNCATE audit_logs CASCADE",
        "WITH gone AS (DELETE FROM audit_logs RETURNING 1) SELECT * FROM gone",
        "MERGE INTO audit_logs USING (SELECT 1) AS one ON true WHEN MATCHED THEN DELETE",
        "INSERT INTO audit_logs SELECT * FROM audit_logs ON CONFLICT (id) DO UPDATE SET action = 'x'",
    ],
)
def test_sql_cannot_change_or_delete_audit_rows(row: AuditLog, statement: str) -> None:
    with pytest.raises(
        DatabaseError, match=r"Cannot update or delete rows from audit_logs|TRUNCATE is refused"
    ):
        execute_sql(statement)
    assert AuditLog.objects.values().get() == AuditLog.objects.filter(pk=row.pk).values().get()


def test_the_orm_cannot_change_or_delete_audit_rows(row: AuditLog) -> None:
    for attempt in (
        row.delete,
        row.save,
        AuditLog.objects.all().delete,
        lambda: AuditLog.objects.update(action="x"),
        lambda: AuditLog.objects.bulk_update([row], ["action"]),
    ):
        with pytest.raises(DatabaseError, match="Cannot update or delete rows from audit_logs"):
            attempt()
    assert AuditLog.objects.count() == 1


def test_audit_rows_outlive_their_objects(row: AuditLog) -> None:
    Thing.objects.all().delete()
    assert AuditLog.objects.get() == row


def test_an_audit_row_has_its_run(row: AuditLog) -> None:
    """There is no foreign key: nothing in the project deletes runs."""
    assert row.run is not None
    assert row.run.operation == row.action
