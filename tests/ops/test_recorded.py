"""A change of a single row is committed together with its audit row, or not at all."""

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models.expressions import RawSQL

from ops.models import AuditLog
from ops.sql.recorded import audit_changes
from tests.trials.models import Sort, Thing

pytestmark = pytest.mark.django_db


def audit_rows() -> list[tuple[str, str, str, object]]:
    fields = ("action", "object_type", "performed_by", "changes")
    return list(AuditLog.objects.order_by("pk").values_list(*fields))


def test_a_change_is_audited_with_the_old_and_new_values() -> None:
    row = Thing.objects.create(name="a", note="x")
    with audit_changes(row, "admin_change", "ada"):
        Thing.objects.filter(pk=row.pk).update(note=None, score=3)
    changes = {
        "note": {"old": "x", "new": None},
        "score": {"old": 0, "new": 3},
        "doubled": {"old": 0, "new": 6},
    }
    assert audit_rows() == [("admin_change", "trials.thing", "ada", changes)]
    assert AuditLog.objects.get().object_id == str(row.pk)


def test_an_unchanged_row_is_not_audited() -> None:
    row = Thing.objects.create(name="a")
    with audit_changes(row, "admin_change", "ada"):
        row.save()
    assert audit_rows() == []


def test_inserts_and_deletes_are_audited_with_all_values() -> None:
    row = Sort(text="a", words=["x"])
    with audit_changes(row, "admin_add", "ada"):
        row.save()
    with audit_changes(row, "admin_delete", "bob"):
        row.delete()
    added = {"done": False, "text": "a", "words": ["x"]}
    assert audit_rows() == [
        ("admin_add", "trials.sort", "ada", {k: {"old": None, "new": v} for k, v in added.items()}),
        ("admin_delete", "trials.sort", "bob", {k: {"old": v, "new": None} for k, v in added.items()}),
    ]


def test_json_null_and_sql_null_are_audited_differently() -> None:
    row = Sort.objects.create(data={"a": 1})
    for value, changes in (
        (None, {"old": {"a": 1}}),
        ({"b": 'qu"ote'}, {"new": {"b": 'qu"ote'}}),
    ):
        with audit_changes(row, "admin_change", "ada"):
            row.data = value
            row.save()
        assert AuditLog.objects.latest("pk").changes == {"data": changes}


def test_an_error_rolls_back_the_change_and_the_audit_row() -> None:
    row = Thing.objects.create(name="a", note="x")
    with pytest.raises(IntegrityError), transaction.atomic(), audit_changes(row, "admin_change", "ada"):
        Thing.objects.update(note="y", score=1000)
    assert audit_rows() == []
    assert Thing.objects.get().note == "x"


def test_more_digits_of_a_number_in_json_are_a_change() -> None:
    row = Sort.objects.create(data=RawSQL("""'{"a": 1.1}'::jsonb""", ()))
    with audit_changes(row, "admin_change", "ada"):
        Sort.objects.filter(pk=row.pk).update(data=RawSQL("""'{"a": 1.10}'::jsonb""", ()))
    with connection.cursor() as cursor:
        cursor.execute("SELECT changes::text FROM audit_logs")
        assert cursor.fetchall() == [('{"data": {"new": {"a": 1.10}, "old": {"a": 1.1}}}',)]
