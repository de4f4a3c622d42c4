"""The environment of the test session itself."""

import os

import pytest
from django.db import connection

from ops.models import AuditLog
from tests.conftest import Manage
from tests.ops.running import execute_sql
from tests.services import DATABASE_GIVEN_VARIABLE


@pytest.mark.engine
@pytest.mark.django_db
def test_the_suite_runs_on_the_chosen_postgresql_which_knows_spanish(
    pytestconfig: pytest.Config,
) -> None:
    if os.environ[DATABASE_GIVEN_VARIABLE]:
        pytest.skip("DATABASE_URL names the server")
    assert execute_sql("SELECT upper('águila'), current_setting('server_encoding')") == [("ÁGUILA", "UTF8")]
    assert connection.pg_version // 10000 == pytestconfig.getoption("--pg")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turn", [1, 2])
def test_audit_rows_of_one_test_do_not_reach_the_next(turn: int) -> None:
    assert not AuditLog.objects.exists()
    AuditLog.objects.create(action="x", object_type="y", object_id="1", performed_by="me", changes={})


def test_a_command_of_a_test_sees_the_database_of_the_test(manage: Manage) -> None:
    AuditLog.objects.create(action="x", object_type="y", object_id="1", performed_by="me", changes={})
    script = "from ops.models import AuditLog; print(AuditLog.objects.get().performed_by)"
    done = manage.process("shell", "--no-imports", "-c", script)
    assert (done.returncode, done.stdout) == (0, "me\n")
