"""Listing the rows of a run: a page of them, or all of them into a file."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from ops.advice import Verb, command
from ops.management.arguments import path, positive
from ops.models import Run
from ops.report.document import document
from ops.report.rows import cells, row_json
from ops.report.table import aligned
from ops.rowlist import RowList
from ops.whole import write_whole

_HEADS = {Verb.FAILURES: "error", Verb.CONFLICTS: "before -> what the run wrote, and now"}
_NONE = {Verb.FAILURES: "No row of run {} has failed.", Verb.CONFLICTS: "Run {} left no row alone."}


def add_page(parser: ArgumentParser) -> None:
    parser.add_argument("--limit", type=positive, default=20, metavar="N", help="How many to list (20).")
    parser.add_argument("--after", metavar="KEY", help="Those with a greater key, in the order of texts.")
    parser.add_argument("--output", type=path, metavar="FILE", help="All of them, a JSON object a line.")
    parser.add_argument("--overwrite", action="store_true", help="Replace the file.")


def told_rows(run: Run, verb: Verb, rows: RowList[Any], options: Mapping[str, Any]) -> list[str]:
    """The lines that tell them. Raises NotWritten."""
    if options["output"]:
        lines = (f"{json.dumps(row_json(run.pk, row))}\n" for row in rows)
        write_whole(options["output"], lines, options["overwrite"])
        return [f"Written: {options['output']}"]
    found = rows.page(options["limit"], options["after"])
    more = max(0, rows.count(options["after"]) - len(found))
    further = command(run.pk, verb, "--after", found[-1].object_id) if more else ""
    if options["json"]:
        end = document("page", run=run.pk, told=len(found), more=more, next=further)
        return [json.dumps(told) for told in (*(row_json(run.pk, row) for row in found), end)]
    if not found:
        return [_NONE[verb].format(run.pk)]
    table = aligned([["key", "row", _HEADS[verb]], *map(cells, found)])
    return [*table, *([f"and {more:,} more: {further}"] if more else [])]
