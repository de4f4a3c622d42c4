"""What a test reads of a command run in its own process is what an operator reads; nothing stays behind."""

import logging
import os
import signal
import sys

import pytest
from django.db import connection, transaction

from tests.manage import Manage
from tests.ops.running import create_things
from tests.trials.models import Thing

ALL_THERE_IS = """
import logging, sys
print(sys.stdin.isatty(), sys.stdout.isatty())
logging.getLogger("x").error("told")
sys.exit("no")
"""
RECITE_WRONG = "from tests.trials.models import Thing; print('so far'); Thing.objects.get()"


@pytest.mark.parametrize(
    "words",
    [
        ["operate", "trials_score", "--score", "5"],  # a preview, with its words to type next
        ["operate", "trials_score", "--scor", "5"],
        ["runs", "resume", "4242"],
        ["frobnicate"],
        ["shell", "--no-imports", "-c", ALL_THERE_IS],
    ],
    ids=lambda words: " ".join(words)[:40],
)
def test_words_and_status_are_those_of_a_process(manage: Manage, words: list[str]) -> None:
    create_things(2)
    here, there = manage(*words), manage.process(*words, stdin="")
    assert here.returncode == there.returncode
    assert _timeless(here.stdout) == _timeless(there.stdout)
    assert _timeless(here.stderr) == _timeless(there.stderr)


def _timeless(text: str) -> list[str]:
    """Without what the log's formatter says of the time."""
    return [line[24:] if line[:2] == "20" else line for line in text.splitlines()]


def test_a_failure_nobody_foresaw_is_a_traceback_with_status_1(manage: Manage) -> None:
    for done in (manage("shell", "--no-imports", "-c", RECITE_WRONG), manage.process("shell", "-c", "1 / 0")):
        assert done.returncode == 1
        assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert manage("shell", "--no-imports", "-c", RECITE_WRONG).stdout == "so far\n"


def test_the_process_of_the_test_is_as_it_was(manage: Manage, monkeypatch: pytest.MonkeyPatch) -> None:
    def state() -> tuple[object, ...]:
        handlers = [(h, getattr(h, "stream", None)) for h in logging.getLogger().handlers]
        signals = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)]
        streams = (sys.stdin, sys.stdout, sys.stderr)
        return handlers, signals, streams, list(sys.argv), dict(os.environ), os.getcwd()

    monkeypatch.delenv("COLUMNS", raising=False)
    manage("operate", "trials_annotate", "--execute")  # Opens the log of events.
    create_things(2)
    before = state()
    assert manage("operate", "trials_annotate", "--execute").returncode == 0
    assert manage("operate").returncode == 2
    assert state() == before


def test_its_session_is_not_the_test_s_own(manage: Manage) -> None:
    print_it = (
        "from django.db import connection as c; c.ensure_connection(); print(c.connection.info.backend_pid)"
    )
    with transaction.atomic():
        create_things(2)
        ours = connection.connection.info.backend_pid
        there = int(manage("shell", "--no-imports", "-c", print_it).stdout)
        assert "No thing needs the change." in manage("operate", "trials_annotate").stdout
        assert there != ours
        assert connection.in_atomic_block
    assert Thing.objects.count() == 2
