"""A child process that starts on a signal and returns its result as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from bench.engine.databases import ROOT, UNREACHABLE_REDIS_URL, build_environment


class BenchmarkProcess:
    """``python -m bench.MODULE PARAMETERS``, ready to start when this returns."""

    def __init__(
        self, module: str, url: str, parameters: dict[str, Any], redis: str = UNREACHABLE_REDIS_URL
    ) -> None:
        self.popen = subprocess.Popen(
            _module_command(module, parameters), env=build_environment(url, redis), cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self._read_line()

    def signal(self) -> None:
        """Send a line: start, or stop."""
        assert self.popen.stdin  # noqa: S101
        self.popen.stdin.write("\n")
        self.popen.stdin.flush()

    def read_result(self) -> Any:
        """Wait for the end, and return the result."""
        result = json.loads(self._read_line())
        self.popen.wait()
        return result

    def kill(self) -> None:
        self.popen.kill()
        self.popen.communicate()

    def _read_line(self) -> str:
        assert self.popen.stdout  # noqa: S101
        if line := self.popen.stdout.readline():
            return line
        raise SystemExit(
            f"a process of the benchmark failed (exit {self.popen.wait()}); see the output above"
        )


def run_module(module: str, url: str, parameters: dict[str, Any]) -> Any:
    """Run a module that needs no signal, and return its result."""
    done = subprocess.run(
        _module_command(module, parameters),
        env=build_environment(url),
        cwd=ROOT,
        text=True,
        check=True,
        stdout=subprocess.PIPE,
    )
    return json.loads(done.stdout)


def _module_command(module: str, parameters: dict[str, Any]) -> list[str]:
    return [sys.executable, "-m", f"bench.{module}", json.dumps(parameters)]
