"""A lost connection is recognized by the error alone: Django may have connected again since."""

import os
import socket
from collections.abc import Callable

import pytest
from django.db import Error, connection, transaction
from django.db.models import F

from ops.retries import is_transient, is_unavailable
from ops.states import State
from tests.ops.conftest import RegisterOperation
from tests.ops.running import (
    RecordingMonitor,
    audited_changes,
    create_things,
    execute_operation,
    execute_sql,
    make_operation,
    player,
    wait_until,
)
from tests.trials.models import Thing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.engine]


def shut_down_socket() -> None:
    with socket.socket(fileno=os.dup(connection.connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


def terminate_backend() -> None:
    with player() as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])


def exceed_idle_timeout() -> None:
    execute_sql("SET LOCAL idle_in_transaction_session_timeout = '10ms'")
    pid = connection.connection.info.backend_pid
    with player() as other:
        other.autocommit = True  # else it sees a cached pg_stat_activity
        wait_until(lambda: not other.execute("SELECT FROM pg_stat_activity WHERE pid = %s", [pid]).fetchall())


def query_after(lose: Callable[[], None]) -> None:
    with transaction.atomic(durable=True):
        lose()
        execute_sql("SELECT 1")


@pytest.mark.parametrize("lose", [shut_down_socket, terminate_backend, exceed_idle_timeout])
def test_a_connection_lost_in_a_transaction_counts_as_unavailable(
    lose: Callable[[], None],
) -> None:
    with pytest.raises(Error) as caught:
        query_after(lose)
    assert connection.is_usable(), "Django connects anew when it leaves the transaction"
    assert is_unavailable(caught.value)
    assert is_transient(caught.value)


@pytest.mark.parametrize(
    ("statement", "params"),
    [("SELECT 1 / 0", ()), ("SELECT %s", ()), ("SELECT %s::text", ("\0",)), ("SELECT 1; SELEKT", ())],
    ids=["of a row", "a parameter short", "a text that PostgreSQL cannot hold", "syntax"],
)
def test_a_wrong_statement_is_no_lost_connection(statement: str, params: tuple[str, ...]) -> None:
    with pytest.raises(Error) as caught, connection.cursor() as cursor:
        cursor.execute(statement, params or [])
    assert not is_transient(caught.value)


def test_a_run_continues_by_itself_after_lost_connections(
    declare: RegisterOperation,
) -> None:
    create_things(60)
    declared = declare(make_operation(Thing.objects.filter(score=0), {"score": F("score") + 1}))
    monitor = RecordingMonitor(lambda batch: batch < 3 and shut_down_socket())
    run = execute_operation(declared, monitor, batch_size=10)
    assert (run.state, len(audited_changes(run))) == (State.SUCCEEDED, 60)
    assert len(monitor.wait_reasons) == 2
