"""logs/application.log: the format, and concurrent writes and rotations."""

import logging
import multiprocessing
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from kyndo.logs import ApplicationLogHandler, LogfmtFormatter, is_loggable, quote_value


def record(level: int = logging.INFO, name: str = "ops.events", message: str = "words", **extra: Any) -> Any:
    return logging.getLogger(name).makeRecord(name, level, "here.py", 1, message, (), None, extra=extra)


def event(run: int = 7, **facts: Any) -> Any:
    return record(run=run, event="created", facts=facts)


def test_a_line_is_a_time_a_level_an_event_a_run_and_its_facts() -> None:
    line = LogfmtFormatter().format(
        event(operation="promote", params={"to": "rare"}, rate=1.5, error='it\'s a "shame"')
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z INFO    created    (.*)", line)
    facts = line.partition("created    ")[2]
    assert (
        facts
        == r'run=7 operation=promote params.to=rare rate=1.5 error="it' + r"""'s a \"shame\"" """.strip()
    )


@pytest.mark.parametrize(
    "value", ["", "a b", "a\nb", "\r", "\x1b[2J", "\u2028", "\u202e", "\x85", "\ud800", '"', "a=b"]
)
def test_no_value_can_forge_a_line_or_a_fact_or_steer_a_terminal(value: str) -> None:
    line = LogfmtFormatter().format(event(**{"a": value, value: "b"}))
    assert line.isprintable()
    assert quote_value(value).startswith('"')
    assert quote_value(value).endswith('"')
    assert line.encode().splitlines() == [line.encode()]


def test_a_value_has_its_limit() -> None:
    assert len(quote_value("x" * 5000)) < 1100


def test_an_error_is_one_line_with_its_place() -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        failed = logging.getLogger("django.request").makeRecord(
            "django.request",
            logging.ERROR,
            "here.py",
            1,
            "Internal Server Error: %s",
            ("/x",),
            sys.exc_info(),
        )
    line = LogfmtFormatter().format(failed)
    assert 'logger=django.request said="Internal Server Error: /x" error="ValueError: first\\nsecond"' in line
    assert re.search(rf" at=(\"?){re.escape(__file__)}:\d+\1$", line)


def test_informational_messages_of_rq_are_left_out() -> None:
    assert is_loggable(event())
    assert is_loggable(record(logging.WARNING, "rq.worker"))
    assert not is_loggable(record(logging.INFO, "rq.worker"))


def _write(folder: Path, writer: int, lines: int) -> None:
    handler = ApplicationLogHandler(folder)
    handler.maxBytes = 20_000
    for number in range(lines):
        handler.handle(event(writer, number=number, padding="x" * 50))


def test_processes_that_rotate_the_file_at_once_lose_no_line(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(tmp_path / "logs", n, 300)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    files = list((tmp_path / "logs").glob("application.log*"))
    written = [line for file in files for line in file.read_text().splitlines()]
    assert len(files) > 2
    matches = [
        re.fullmatch(r"\S+ \S+ INFO    created    run=(\d) number=(\d+) padding=x{50}", line)
        for line in written
    ]
    assert sorted((int(m[1]), int(m[2])) for m in matches if m) == [
        (w, n) for w in range(4) for n in range(300)
    ]
    assert len(written) == 1200


def test_an_unwritable_log_folder_is_reported_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").write_text("a file, where a folder should be")
    handler = ApplicationLogHandler(tmp_path / "logs")
    handler.handle(event())
    handler.handle(event())
    message = capsys.readouterr().err
    assert message.startswith(f"{tmp_path}/logs/application.log cannot be written: ")
    assert len(message.splitlines()) == 1
