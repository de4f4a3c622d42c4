"""Operations are tested in any project, by Django's runner and by pytest-django, inside a TestCase too."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection
from django.db.models import F, Func, TextField
from psycopg import sql as psql

from ops import testing
from ops.exceptions import WriteInReadOnlyTransaction
from ops.models import AuditLog, Run
from tests.manage import Manage
from tests.ops.conftest import RegisterOperation
from tests.ops.running import create_things, execute_sql, make_operation
from tests.other_project import run_in_project, write_project
from tests.trials.models import Thing
from tests.trials.operations import Annotate

MISSING = Thing.objects.filter(note=None)


@pytest.fixture(params=["db", "transactional_db"], ids=["TestCase", "TransactionTestCase"])
def database(request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(request.param)


@pytest.mark.usefixtures("database")
def test_an_operation_is_previewed_executed_and_reverted() -> None:
    rows = create_things(3)
    assert testing.preview(Annotate).total == 3
    run = testing.execute("trials_annotate", lanes=2, batch_size=1)
    assert (run.state, run.performed_by, testing.failures(run)) == ("succeeded", "tests", {})
    assert testing.changes(run)[str(rows[1].pk)] == {"note": {"old": None, "new": "t2"}}
    assert testing.revert(run).state == "succeeded"
    assert Thing.objects.filter(note=None).count() == 3


@pytest.mark.usefixtures("database")
def test_failed_rows_do_not_end_the_test(declare: RegisterOperation) -> None:
    create_things(4), create_things(1, score=600)
    raised = {"note": F("name"), "score": F("score") + 500}
    run = testing.execute(declare(make_operation(MISSING, raised)))
    assert (run.state, len(testing.changes(run))) == ("finished_with_failures", 4)
    assert "trials_thing_score_small" in "".join(testing.failures(run).values())
    Thing.objects.create(name="goes on")


@pytest.mark.usefixtures("database")
def test_params_are_raw_as_a_command_gives_them() -> None:
    create_things(2)
    assert len(testing.changes(testing.execute("trials_score", {"score": "7", "only_noted": ""}))) == 2


@pytest.mark.django_db
def test_in_a_testcase_a_preview_cannot_write_but_later_code_can(declare: RegisterOperation) -> None:
    create_things(1)
    execute_sql(
        "CREATE FUNCTION trial_meddle() RETURNS text LANGUAGE sql AS $$"
        " UPDATE trials_thing SET note = 'meddled' RETURNING note $$"
    )
    declare(make_operation(MISSING, {"note": Func(function="trial_meddle", output_field=TextField())}))
    with pytest.raises(WriteInReadOnlyTransaction, match="read-only transaction"):
        testing.preview("trial")
    assert Thing.objects.update(note="x") == 1


@pytest.mark.django_db
def test_the_settings_of_a_testcase_are_restored() -> None:
    names = ["enable_seqscan", "lock_timeout", "idle_in_transaction_session_timeout", "application_name"]

    def settings() -> list[Any]:
        return [execute_sql(f"SHOW {name}")[0][0] for name in names]

    before = settings()
    create_things(1)
    testing.execute(Annotate)
    assert settings() == before
    Thing.objects.create(name="before its owner", owner_id=77)  # deferred, as it was
    Thing.objects.filter(owner=77).delete()


@pytest.mark.django_db(transaction=True)
def test_flush_is_refused_in_a_line_and_deletes_nothing(manage: Manage) -> None:
    create_things(1)
    testing.execute(Annotate)
    done = manage.process("flush", "--no-input", "--skip-checks")
    assert done.returncode == 1
    assert done.stderr.startswith("CommandError: audit_logs is append-only, so nothing was deleted. For an")
    assert len(done.stderr.splitlines()) == 1
    assert (Thing.objects.count(), AuditLog.objects.count(), Run.objects.count()) == (1, 1, 1)


OPERATIONS = '''
from django.db.models import F
from ops.operations import Check, Operation, register
from shop.models import Order

@register
class FillVat(Operation):
    """Fill in the VAT of every order that lacks it."""

    name = "fill_vat"
    model = Order
    display_field = "number"

    def get_queryset(self):
        return Order.objects.filter(vat=None)

    def get_changes(self):
        return {"vat": F("net") / 5}

    def get_checks(self):
        return [Check("orders without VAT", Order.objects.filter(vat=None))]
'''
MODELS = """
from django.db import models

class Order(models.Model):
    number = models.CharField(max_length=10)
    net = models.IntegerField()
    vat = models.IntegerField(null=True)
"""
TESTS = """
from django.contrib.auth.models import Permission
from django.db import Error, transaction
from django.test import TestCase, TransactionTestCase
from ops import testing
from ops.exceptions import WriteInReadOnlyTransaction
from ops.models import AuditLog, Run
from shop.models import Order
from shop.operations import FillVat

class Shared:
    def setUp(self):
        self.order = Order.objects.create(number="a", net=100)

    def test_preview(self):
        preview = testing.preview(FillVat)
        self.assertEqual((preview.total, preview.samples[0].values), (1, {"vat": (None, 20)}))

    def test_execute_and_revert(self):
        run = testing.execute("fill_vat")
        self.assertEqual(run.state, "succeeded")
        self.assertEqual(testing.changes(run), {str(self.order.pk): {"vat": {"old": None, "new": 20}}})
        self.assertEqual(testing.revert(run).state, "succeeded")
        self.order.refresh_from_db()
        self.assertIsNone(self.order.vat)

    def test_nothing_is_left_of_another_test(self):
        self.assertEqual([m.objects.count() for m in (Order, AuditLog, Run)], [1, 0, 0])

    def test_the_audit_log_is_append_only(self):
        testing.execute("fill_vat")
        with self.assertRaisesMessage(Error, "Cannot update or delete"), transaction.atomic():
            AuditLog.objects.all().delete()

    def test_permissions_are_there(self):
        self.assertTrue(Permission.objects.filter(codename="run_fill_vat").exists())

class InTestCase(Shared, TestCase):
    pass

class InTransactionTestCase(Shared, TransactionTestCase):
    pass
"""
RUNNERS = {
    "Django's runner": ["manage.py", "test", "--no-input", "--shuffle"],
    "pytest-django": ["-m", "pytest", "-q", "-p", "no:cacheprovider"],
}


@pytest.fixture
def plain_owner(db: None) -> Iterator[dict[str, str]]:
    """A role that may make databases and nothing else, and the server, as Django takes them."""
    name, url = f"shop_of_{connection.settings_dict['NAME']}", urlsplit(os.environ["DATABASE_URL"])
    role, database = psql.Identifier(name), psql.Identifier(f"test_{name}")
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute(psql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD 'shop'").format(role))
        where = {"HOST": str(url.hostname), "PORT": str(url.port)}
        yield {"NAME": name, "USER": name, "PASSWORD": "shop", **where}
        server.execute(psql.SQL("DROP DATABASE IF EXISTS {}").format(database))
        server.execute(psql.SQL("DROP ROLE {}").format(role))


@pytest.fixture
def project(tmp_path: Path, plain_owner: dict[str, str]) -> Path:
    """Another project that has `ops` for an app, with a model and an operation of its own."""
    files = {
        "pytest.ini": "[pytest]\nDJANGO_SETTINGS_MODULE = settings\npython_files = tests.py\n",
        "shop/models.py": MODELS,
        "shop/operations.py": OPERATIONS,
        "shop/tests.py": TESTS,
    }
    return write_project(tmp_path, plain_owner, files)


@pytest.mark.long
@pytest.mark.parametrize("runner", RUNNERS.values(), ids=RUNNERS)
def test_another_project_tests_its_operation(project: Path, runner: list[str]) -> None:
    done = run_in_project(project, *runner)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 passed" in done.stdout or "Ran 10 tests" in done.stderr
