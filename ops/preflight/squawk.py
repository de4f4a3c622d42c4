"""Run Squawk, a linter for PostgreSQL migrations, on the SQL that a migration would run."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.exceptions import OpsError

_TIMEOUT = 60


class LinterUnavailable(OpsError):
    """Squawk is not installed, or did not answer."""


@dataclass(frozen=True)
class LintWarning:
    """The name of the violated rule, and the line of the SQL that violates it."""

    rule: str
    line: int
    message: str


def run_squawk(sql: str, server_version: int) -> list[LintWarning]:
    """Lint the SQL; ``server_version`` is as in ``connection.pg_version``. Raises LinterUnavailable."""
    program = Path(sysconfig.get_path("scripts")) / "squawk"
    command = [str(program), "--reporter=json", f"--pg-version={server_version // 10000}.0"]
    try:
        process = subprocess.run(
            command, input=sql, capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
        warnings: list[dict[str, Any]] = json.loads(process.stdout or "[]")
    except (OSError, ValueError, subprocess.TimeoutExpired) as exc:
        raise LinterUnavailable(
            f"Squawk cannot run ({exc}). To install it: python -m pip install -r requirements.txt"
        ) from exc
    return [LintWarning(each["rule_name"], each["line"], each["message"]) for each in warnings]
