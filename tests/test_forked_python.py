"""A process that forked behaves as one that was started."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forked_python import run_python, start_python

TELL = """
import os, sys
print(sys.argv, sys.path[:2], sys.orig_argv, os.getcwd(), os.environ.get("TOLD"), os.umask(0))
print(__name__, sys.stdin.read(), "kyndo" in sys.modules, flush=True)
"""
ENDS = ["", "sys.exit()", "sys.exit(3)", "sys.exit('no')", "1 / 0", "os.kill(os.getpid(), 9)"]


def programs(folder: Path, text: str) -> list[list[str]]:
    (folder / "program.py").write_text(text)
    return [["program.py", "a"], ["-c", text, "a"], ["-m", "program", "a"]]


@pytest.mark.parametrize("way", [0, 1, 2], ids=["file", "-c", "-m"])
@pytest.mark.parametrize("end", ENDS)
def test_it_ends_and_writes_as_one_that_was_started(tmp_path: Path, way: int, end: str) -> None:
    words = programs(tmp_path, TELL + end)[way]
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "more"), "TOLD": "yes"}
    forked = run_python(words, tmp_path, env, "given")
    started = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, env=env, input="given", capture_output=True, text=True
    )
    assert forked.returncode == started.returncode
    assert forked.stdout == started.stdout
    assert forked.stderr.splitlines()[-1:] == started.stderr.splitlines()[-1:]


def test_it_can_be_signalled(tmp_path: Path) -> None:
    text = "import time\nprint('begun', flush=True)\ntime.sleep(60)"
    with start_python(["-c", text], tmp_path, os.environ) as process:
        assert process.stdout.readline() == "begun\n"
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait() == -signal.SIGTERM
    assert (process.poll(), process.wait()) == (-signal.SIGTERM, -signal.SIGTERM)


def test_what_python_reads_when_it_starts_is_heeded(tmp_path: Path) -> None:
    words = ["-c", "import sys; print(sys.flags.optimize)"]
    assert run_python(words, tmp_path, {**os.environ, "PYTHONOPTIMIZE": "1"}).stdout == "1\n"
    assert run_python(words, tmp_path, {**os.environ}).stdout == "0\n"
