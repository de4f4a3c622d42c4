"""A dump as the statements that psql reads, without those that this server or our role would refuse."""

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

# From 17 on pg_dump and pg_restore begin with this, which an older server refuses.
TRANSACTION_TIMEOUT_SINCE, SET_TRANSACTION_TIMEOUT = 17, "SET transaction_timeout = 0;"
_PSQL_FLAGS = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction", "--file=-")
# What is left out stands before the first of these.
_FIRST_OBJECT_PATTERN = re.compile(rb"CREATE (TYPE|DOMAIN|FUNCTION|PROCEDURE|TABLE|VIEW|SEQUENCE)|COPY ")


def open_script(file: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(file)) if file.suffix == ".gz" else file.open("rb")


def run_psql(
    programs: ClientTools, database: str, script: IO[bytes], left_out: Collection[bytes], server: Server
) -> None:
    """Execute the script in one transaction, but for the lines that begin with what is left out."""
    with programs.run_tool("psql", *_PSQL_FLAGS, server=server, database=database, stdin=-1) as process:
        assert process.stdin  # noqa: S101 - for mypy: it is a pipe
        with suppress(BrokenPipeError), process.stdin:  # psql says itself why it ended
            _copy_filtered_head(script, process.stdin, tuple(left_out))
            shutil.copyfileobj(script, process.stdin, 1 << 18)


def _copy_filtered_head(script: IO[bytes], target: IO[bytes], left_out: tuple[bytes, ...]) -> None:
    for line in script if left_out else ():
        if not line.startswith(left_out):
            target.write(line)
        if _FIRST_OBJECT_PATTERN.match(line):
            break


def extension_statement_prefixes(name: str) -> list[bytes]:
    """How the statements begin that make it, in a script of pg_dump."""
    quoted = sql.Identifier(name).as_string()
    written = name if re.fullmatch("[a-z_][a-z0-9_]*", name) else quoted
    return [
        f"{does} {written} ".encode() for does in ("CREATE EXTENSION IF NOT EXISTS", "COMMENT ON EXTENSION")
    ]


def exclude_extensions(entries: str, names: Collection[str]) -> str:
    """The list of an archive (pg_restore --list) without the extensions of those names."""
    told = re.compile(r"\d+; \d+ \d+ (?:EXTENSION -|COMMENT - EXTENSION) (.*)")
    kept = [
        line
        for line in entries.splitlines()
        if not ((found := told.match(line)) and found[1].strip() in names)
    ]
    return "\n".join([*kept, ""])
