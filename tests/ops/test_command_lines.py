"""The printed commands can be pasted into a shell."""

import shlex

import pytest
from django.db import connection

from ops import command_lines
from ops.preflight import server
from ops.preflight.finding import ManualAnswers, PreflightContext
from tests.ops.running import execute_sql, player

pytestmark = [pytest.mark.django_db(transaction=True)]

NAMES = ["plain", "two words", "it's", 'say "so"', "$HOME", "`id`", "a\\b", "a!b", "ü"]


@pytest.mark.parametrize("name", NAMES)
def test_a_statement_reaches_psql_as_it_is(name: str) -> None:
    line = command_lines.psql_command(f"SELECT '{name}'", "SELECT 1")
    assert shlex.split(line) == ["psql", "$DATABASE_URL", "-c", f"SELECT '{name}'", "-c", "SELECT 1"]


@pytest.mark.parametrize("name", NAMES)
def test_an_argument_reaches_the_command_as_it_is(name: str) -> None:
    assert shlex.split(command_lines.manage_command("restore_db", "--confirm", name))[-3:] == [
        "restore_db",
        "--confirm",
        name,
    ]


def test_the_printed_command_ends_a_prepared_transaction_of_any_name() -> None:
    gid = """it's "$HOME" here"""
    with player() as other:
        other.execute("BEGIN; SELECT 1")
        other.execute("PREPARE TRANSACTION '{}'".format(gid.replace("'", "''")).encode())
    try:
        [command] = server.check_prepared_transactions(PreflightContext(ManualAnswers())).todo
        args = shlex.split(command.removesuffix(", or COMMIT PREPARED"))
        assert args[:3] == ["psql", "$DATABASE_URL", "-c"]
        connection.close()
        execute_sql(args[3])
    finally:
        for (remaining,) in execute_sql(
            "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
        ):
            execute_sql("ROLLBACK PREPARED '{}'".format(remaining.replace("'", "''")))
    assert server.check_prepared_transactions(PreflightContext(ManualAnswers())).todo == ()
