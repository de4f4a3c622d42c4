"""Run a plain SQL dump through psql, without the statements that the server or our role would refuse."""

from __future__ import annotations

import gzip
import re
import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

from psycopg import sql

from ops.backups.client_tools import ClientTools
from ops.backups.server import Server

# The first statement of pg_dump and pg_restore since 17; an older server refuses it.
TRANSACTION_TIMEOUT_SINCE, SET_TRANSACTION_TIMEOUT = 17, "SET transaction_timeout = 0;"
_PSQL_FLAGS = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction", "--file=-")
# The excluded statements come before the first of these.
_FIRST_OBJECT_PATTERN = re.compile(rb"CREATE (TYPE|DOMAIN|FUNCTION|PROCEDURE|TABLE|VIEW|SEQUENCE)|COPY ")


def open_script(file: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(file)) if file.suffix == ".gz" else file.open("rb")


def run_psql(
    tools: ClientTools, database: str, script: IO[bytes], excluded: Collection[bytes], server: Server
) -> None:
    """Execute the script in one transaction, without the lines that begin with an excluded prefix.

    Raises MaintenanceFailed.
    """
    with tools.run_tool("psql", *_PSQL_FLAGS, server=server, database=database, stdin=-1) as process:
        assert process.stdin  # noqa: S101 - for mypy: it is a pipe
        with suppress(BrokenPipeError), process.stdin:  # psql itself reports why it ended
            _copy_filtered_head(script, process.stdin, tuple(excluded))
            shutil.copyfileobj(script, process.stdin, 1 << 18)


def _copy_filtered_head(script: IO[bytes], target: IO[bytes], excluded: tuple[bytes, ...]) -> None:
    for line in script if excluded else ():
        if not line.startswith(excluded):
            target.write(line)
        if _FIRST_OBJECT_PATTERN.match(line):
            break


def extension_statement_prefixes(name: str) -> list[bytes]:
    """Return the prefixes of the statements of pg_dump that create the extension and comment on it."""
    quoted = sql.Identifier(name).as_string()
    identifier = name if re.fullmatch("[a-z_][a-z0-9_]*", name) else quoted
    return [
        f"{verb} {identifier} ".encode()
        for verb in ("CREATE EXTENSION IF NOT EXISTS", "COMMENT ON EXTENSION")
    ]


def exclude_extensions(entries: str, names: Collection[str]) -> str:
    """Remove the extensions from the table of contents of an archive (pg_restore --list)."""
    pattern = re.compile(r"\d+; \d+ \d+ (?:EXTENSION -|COMMENT - EXTENSION) (.*)")
    kept = [
        line
        for line in entries.splitlines()
        if not ((match := pattern.match(line)) and match[1].strip() in names)
    ]
    return "\n".join([*kept, ""])
