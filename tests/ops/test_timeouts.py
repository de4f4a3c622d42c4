"""The timeouts of a role: what an operator waits for ignores them; errors of the server are explained."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import DatabaseError, connection, transaction
from django.test import Client

from cards.models import PresentationRule
from ops.db import limit_statements, read_only_snapshot, without_timeouts
from ops.models import AuditLog, Run
from ops.operations import Check, registry
from ops.preflight.checklist import CHECKS
from ops.server_errors import explain_server_error, is_server_error
from tests.conftest import Manage
from tests.ops.conftest import RegisterOperation
from tests.ops.running import create_run, create_things, execute_operation, execute_sql, make_operation
from tests.trials.models import Thing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.engine]

SLOW = "SELECT pg_sleep(0.2)"


@contextmanager
def role_settings(**settings: str) -> Iterator[None]:
    """Give the role these settings from its next session on."""
    alter = f"ALTER ROLE kyndo IN DATABASE {connection.settings_dict['NAME']}"
    for name, value in settings.items():
        execute_sql(f"{alter} SET {name} = '{value}'")
    try:
        yield
    finally:
        for name in settings:
            execute_sql(f"{alter} RESET {name}")


@pytest.fixture
def slow(declare: RegisterOperation) -> Callable[[], None]:
    """Declare an operation whose every query of its rows takes a fifth of a second."""

    def make() -> None:
        rows = Thing.objects.extra(where=["score < 7", "(SELECT pg_sleep(0.2) IS NOT NULL)"])
        declare(make_operation(rows, {"score": 7}))

    create_things(3)
    return make


def test_a_preview_ignores_the_timeouts_of_the_role(slow: Callable[[], None], manage: Manage) -> None:
    slow()
    since_17 = {"transaction_timeout": "150ms"} if connection.pg_version >= 170_000 else {}  # type: ignore[attr-defined]
    with role_settings(statement_timeout="100ms", **since_17):
        done = manage("operate", "trial")
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 things" in done.stdout


def test_a_batch_that_exceeds_statement_timeout_fails_the_run(
    slow: Callable[[], None], manage: Manage
) -> None:
    slow()
    with role_settings(statement_timeout="100ms"):
        done = manage("operate", "trial", "--execute")
    assert (done.returncode, done.stderr) == (1, "")
    assert "canceling statement due to statement timeout" in done.stdout
    assert Run.objects.get().state == "failed"


def test_a_revert_ignores_the_timeouts_of_the_role(declare: RegisterOperation, manage: Manage) -> None:
    create_things(3)
    declare(make_operation(Thing.objects.filter(score__lt=7), {"score": 7}))
    run = execute_operation(registry.get_operation("trial"))
    with role_settings(statement_timeout="1s"):
        assert manage("runs", "revert", run.pk).returncode == 0
        assert manage("runs", "revert", run.pk, "--execute").returncode == 0


def test_the_checks_of_a_run_ignore_the_timeouts_of_the_role(declare: RegisterOperation) -> None:
    create_things(3)
    sleepy = make_operation(
        Thing.objects.filter(score__lt=7),
        {"score": 7},
        get_checks=lambda self: [
            Check("slow", Thing.objects.extra(where=["score <> 7", "pg_sleep(0.2) IS NOT NULL"]))
        ],
    )
    declare(sleepy)
    with role_settings(statement_timeout="100ms"):
        connection.close()
        run = execute_operation(registry.get_operation("trial"))
    assert run.state == "succeeded"


def test_timeouts_are_disabled_for_the_transaction_only() -> None:
    with without_timeouts(), read_only_snapshot():
        assert execute_sql("SHOW statement_timeout") == [("0",)]
    with role_settings(statement_timeout="7s"):
        connection.close()
        with without_timeouts(), read_only_snapshot():
            assert execute_sql("SHOW statement_timeout") == [("0",)]
        with read_only_snapshot():
            assert execute_sql("SHOW statement_timeout") == [("7s",)]
        assert execute_sql("SHOW statement_timeout") == [("7s",)]
    connection.close()


def test_a_page_that_takes_too_long_answers_503(admin_client: Client, settings: LazySettings) -> None:
    settings.OPS_PAGE_STATEMENT_TIMEOUT = None  # the role's remains
    with role_settings(statement_timeout="100ms"):
        connection.close()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "ops.admin.runs.runs.RunAdmin.get_queryset", lambda *args, **kwargs: execute_sql(SLOW)
            )
            answer = admin_client.get("/admin/ops/run/")
    connection.close()
    assert answer.status_code == 503
    assert "The database took too long for this page" in answer.content.decode()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have the list of runs note its statement_timeout outside and inside a transaction, then be slow."""
    timeouts: list[str] = []

    def get_queryset(*args: object, **kwargs: object) -> Any:
        timeouts.append(execute_sql("SHOW statement_timeout")[0][0])
        with transaction.atomic():
            Run.objects.select_for_update().first()
            timeouts.append(execute_sql("SHOW statement_timeout")[0][0])
        return execute_sql(SLOW)

    monkeypatch.setattr("ops.admin.runs.runs.RunAdmin.get_queryset", get_queryset)
    return timeouts


def test_every_statement_of_a_page_has_the_timeout_of_the_settings(
    admin_client: Client, settings: LazySettings, seen: list[str]
) -> None:
    settings.OPS_PAGE_STATEMENT_TIMEOUT = timedelta(milliseconds=150)
    answer = admin_client.get("/admin/ops/run/")
    assert answer.status_code == 503
    assert "The database took too long for this page" in answer.content.decode()
    assert seen == ["150ms", "150ms"]
    assert execute_sql("SHOW statement_timeout") == [("0",)]  # nothing stays behind in the session


def test_a_part_of_a_page_may_have_a_timeout_of_its_own() -> None:
    def shown() -> str:
        [(timeout,)] = execute_sql("SHOW statement_timeout")
        return str(timeout)

    with limit_statements(timedelta(seconds=30)):
        with limit_statements(timedelta(seconds=3)):
            assert shown() == "3s"
        assert shown() == "30s"
    assert shown() == "0"


def test_a_page_changes_rows_under_its_timeout(admin_client: Client, settings: LazySettings) -> None:
    settings.OPS_PAGE_STATEMENT_TIMEOUT = timedelta(days=10_000)  # more than PostgreSQL has room for
    data = {"rarity": "rare", "frame_color": "#4A90E2", "sort_order": "1", "metadata": "{}"}
    assert admin_client.post("/admin/cards/presentationrule/add/", data).status_code == 302
    rule = PresentationRule.objects.get()
    url = f"/admin/cards/presentationrule/{rule.pk}/"
    assert admin_client.post(f"{url}change/", {**data, "sort_order": "2"}).status_code == 302
    assert PresentationRule.objects.get().sort_order == 2
    assert admin_client.post(f"{url}delete/", {"post": "yes"}).status_code == 302
    assert [row.action for row in AuditLog.objects.order_by("pk")] == [
        "admin_add",
        "admin_change",
        "admin_delete",
    ]


def test_a_cancelled_command_prints_the_timeout_and_what_to_type(manage: Manage) -> None:
    with role_settings(statement_timeout="100ms"):
        done = manage(
            "shell", "--no-imports", "-c", f"from tests.ops.running import execute_sql; execute_sql('{SLOW}')"
        )
    first, second = done.stderr.splitlines()
    assert done.returncode == 1
    assert "(statement_timeout is 100ms for the role kyndo)" in first
    name = connection.settings_dict["NAME"]
    assert second == f'In psql: ALTER ROLE "kyndo" IN DATABASE "{name}" SET statement_timeout = \'10min\';'


def test_a_cancelled_check_of_preflight_does_not_stop_the_others(
    manage: Manage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CHECKS, "prepared", lambda context: execute_sql(SLOW))
    with role_settings(statement_timeout="150ms"):
        done = manage("preflight")
    assert "Cannot be read: canceling statement due to statement timeout" in done.stdout
    assert "local disk" in done.stdout


@pytest.mark.parametrize(
    ("code", "reason", "todo"),
    [
        ("57014", "Cancelled by PostgreSQL: ", "Another session or a timeout"),
        ("25P03", "Cancelled by PostgreSQL: ", "Another session or a timeout"),
        ("25P04", "Cancelled by PostgreSQL: ", "Another session or a timeout"),
        ("57P05", "Cancelled by PostgreSQL: ", "Another session or a timeout"),
        ("55P03", "Another session holds a lock that is needed: ", "To see which: "),
        ("42501", "The role kyndo lacks a privilege: ", "The owner of the object or a superuser can"),
        ("53100", "The server is out of disk space or memory: ", "To see what is free: "),
    ],
)
def test_a_server_error_is_explained_in_two_lines(code: str, reason: str, todo: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        execute_sql(f"DO $$ BEGIN RAISE 'so it is' USING ERRCODE = '{code}'; END $$")
    assert is_server_error(caught.value)
    explanation = explain_server_error(caught.value)
    assert explanation is not None
    first, second = explanation.splitlines()
    assert first == f"{reason}so it is"
    assert second.startswith(todo)


def test_an_error_of_the_statement_is_not_explained() -> None:
    with pytest.raises(DatabaseError) as caught:
        execute_sql("SELECT 1 / 0")
    assert explain_server_error(caught.value) is None


def test_creation_counts_rows_without_the_timeouts_of_the_role(slow: Callable[[], None]) -> None:
    slow()
    with role_settings(statement_timeout="100ms"):
        connection.close()
        with without_timeouts():
            assert create_run(registry.get_operation("trial")).total == 3
    connection.close()
