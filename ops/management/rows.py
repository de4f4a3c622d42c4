"""Output of a run's failures or conflicts: one page of them, or all of them in a file."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from ops.atomic_files import write_atomically
from ops.management.arguments import parse_path, positive_integer
from ops.models import Run
from ops.operations import ApplyChangeSet
from ops.report.document import build_document
from ops.report.rows import row_cells, row_json
from ops.report.table import format_table
from ops.runs.next_steps import RunAction, format_run_command
from ops.runs.row_lists import RowList

_DETAIL_HEADERS = {
    RunAction.FAILURES: "error",
    RunAction.CONFLICTS: "before the run -> after the run (value now)",
}
_CHANGE_SET_CONFLICTS = (ApplyChangeSet.name, RunAction.CONFLICTS)
_SEEN_HEADER = "as it was seen -> as it was to be (value now)"
_EMPTY_MESSAGES = {
    RunAction.FAILURES: "No row of run {} has failed.",
    RunAction.CONFLICTS: "Run {} has no conflicts.",
}


def add_page_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--limit", type=positive_integer, default=20, metavar="N", help="List at most N rows (default: 20)."
    )
    parser.add_argument("--after", metavar="KEY", help="List rows after this key. Keys are sorted as text.")
    parser.add_argument(
        "--output",
        type=parse_path,
        metavar="FILE",
        help="Write all rows to this file, as JSON, one object per line.",
    )
    parser.add_argument("--overwrite", action="store_true", help="Replace the file if it exists.")


def render_rows(run: Run, verb: RunAction, rows: RowList[Any], options: Mapping[str, Any]) -> list[str]:
    """Return the lines to print. Raises WriteFailed if the file cannot be written."""
    if options["output"]:
        lines = (f"{json.dumps(row_json(run.pk, row))}\n" for row in rows)
        write_atomically(options["output"], lines, options["overwrite"])
        return [f"Written: {options['output']}"]
    page = rows.page(options["limit"], options["after"])
    more = max(0, rows.count(options["after"]) - len(page))
    next_command = format_run_command(run.pk, verb, "--after", page[-1].object_id) if more else ""
    if options["json"]:
        end = build_document("page", run=run.pk, told=len(page), more=more, next=next_command)
        return [json.dumps(document) for document in (*(row_json(run.pk, row) for row in page), end)]
    if not page:
        return [_EMPTY_MESSAGES[verb].format(run.pk)]
    header = _SEEN_HEADER if (run.operation, verb) == _CHANGE_SET_CONFLICTS else _DETAIL_HEADERS[verb]
    table = format_table([["key", "row", header], *map(row_cells, page)])
    return [*table, *([f"and {more:,} more: {next_command}"] if more else [])]
