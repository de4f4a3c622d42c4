"""Listing the rows of a run: a page of them, or all of them into a file."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from ops.atomic_files import write_atomically
from ops.management.arguments import parse_path, positive_integer
from ops.models import Run
from ops.report.document import build_document
from ops.report.rows import row_cells, row_json
from ops.report.table import format_table
from ops.runs.next_steps import RunAction, format_run_command
from ops.runs.row_lists import RowList

_DETAIL_HEADERS = {RunAction.FAILURES: "error", RunAction.CONFLICTS: "before -> what the run wrote, and now"}
_EMPTY_MESSAGES = {
    RunAction.FAILURES: "No row of run {} has failed.",
    RunAction.CONFLICTS: "Run {} left no row alone.",
}


def add_page_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--limit", type=positive_integer, default=20, metavar="N", help="How many to list (20)."
    )
    parser.add_argument("--after", metavar="KEY", help="Those with a greater key, in the order of texts.")
    parser.add_argument(
        "--output", type=parse_path, metavar="FILE", help="All of them, a JSON object a line."
    )
    parser.add_argument("--overwrite", action="store_true", help="Replace the file.")


def render_rows(run: Run, verb: RunAction, rows: RowList[Any], options: Mapping[str, Any]) -> list[str]:
    """The lines that tell them. Raises NotWritten."""
    if options["output"]:
        lines = (f"{json.dumps(row_json(run.pk, row))}\n" for row in rows)
        write_atomically(options["output"], lines, options["overwrite"])
        return [f"Written: {options['output']}"]
    found = rows.page(options["limit"], options["after"])
    more = max(0, rows.count(options["after"]) - len(found))
    further = format_run_command(run.pk, verb, "--after", found[-1].object_id) if more else ""
    if options["json"]:
        end = build_document("page", run=run.pk, told=len(found), more=more, next=further)
        return [json.dumps(told) for told in (*(row_json(run.pk, row) for row in found), end)]
    if not found:
        return [_EMPTY_MESSAGES[verb].format(run.pk)]
    table = format_table([["key", "row", _DETAIL_HEADERS[verb]], *map(row_cells, found)])
    return [*table, *([f"and {more:,} more: {further}"] if more else [])]
