"""``manage()`` in the test's process gives the output and status of a real process, and leaves no trace."""

import logging
import os
import signal
import sys

import pytest
from django.db import connection, transaction

from tests.manage import Manage
from tests.ops.running import create_things
from tests.trials.models import Thing

PRINT_ENVIRONMENT = """
import logging, sys
print(sys.stdin.isatty(), sys.stdout.isatty())
logging.getLogger("x").error("told")
sys.exit("no")
"""
FAIL_AFTER_PRINT = "from tests.trials.models import Thing; print('so far'); Thing.objects.get()"


@pytest.mark.parametrize(
    "args",
    [
        ["operate", "trials_score", "--score", "5"],  # a preview, which ends in the command to type next
        ["operate", "trials_score", "--scor", "5"],
        ["runs", "resume", "4242"],
        ["frobnicate"],
        ["shell", "--no-imports", "-c", PRINT_ENVIRONMENT],
    ],
    ids=lambda args: " ".join(args)[:40],
)
def test_output_and_status_are_those_of_a_process(manage: Manage, args: list[str]) -> None:
    create_things(2)
    process = manage.popen(*args)
    out, err = process.communicate()
    for done in (manage(*args), manage.process(*args)):
        assert done.returncode == process.returncode
        assert _without_times(done.stdout) == _without_times(out)
        assert _without_times(done.stderr) == _without_times(err)


def _without_times(text: str) -> list[str]:
    """Remove the times that the log's formatter prints."""
    return [line[24:] if line[:2] == "20" else line for line in text.splitlines()]


def test_an_unexpected_error_is_a_traceback_with_status_1(manage: Manage) -> None:
    for result in (
        manage("shell", "--no-imports", "-c", FAIL_AFTER_PRINT),
        manage.process("shell", "--no-imports", "-c", "1 / 0"),
    ):
        assert result.returncode == 1
        assert result.stderr.startswith("Traceback (most recent call last):\n")
    assert manage("shell", "--no-imports", "-c", FAIL_AFTER_PRINT).stdout == "so far\n"


def test_a_command_leaves_the_test_process_unchanged(manage: Manage, monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot() -> tuple[object, ...]:
        handlers = [(h, getattr(h, "stream", None)) for h in logging.getLogger().handlers]
        signals = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)]
        streams = (sys.stdin, sys.stdout, sys.stderr)
        return handlers, signals, streams, list(sys.argv), dict(os.environ), os.getcwd()

    monkeypatch.delenv("COLUMNS", raising=False)
    manage("operate", "trials_annotate", "--execute")  # Opens the log of events.
    create_things(2)
    before = snapshot()
    assert manage("operate", "trials_annotate", "--execute").returncode == 0
    assert manage("operate").returncode == 2
    assert snapshot() == before


def test_a_command_has_its_own_database_session(manage: Manage) -> None:
    print_pid = (
        "from django.db import connection as c; c.ensure_connection(); print(c.connection.info.backend_pid)"
    )
    with transaction.atomic():
        create_things(2)
        own_pid = connection.connection.info.backend_pid
        command_pid = int(manage("shell", "--no-imports", "-c", print_pid).stdout)
        assert "No thing needs the change." in manage("operate", "trials_annotate").stdout
        assert command_pid != own_pid
        assert connection.in_atomic_block
    assert Thing.objects.count() == 2
