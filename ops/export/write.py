"""Writes an export: every file from the same snapshot, while writers go on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Event
from time import monotonic

from ops.db import read_only
from ops.exceptions import Interrupted
from ops.export.files import Form, Written, every_form, write_rows
from ops.export.folder import new_folder
from ops.export.meter import Meter
from ops.export.part import Part
from ops.export.summary import SUMMARY, Summary, applied_migrations
from ops.export.wanted import Wanted
from ops.sql.copy_out import copied_rows, prepare


def write_export(wanted: Wanted, target: Path, meter: Meter, stop: Event) -> Summary:
    """Write what is wanted into the folder ``target``, whole or not at all.

    Raises BadTarget, Unwritable, and Interrupted when ``stop`` is set meanwhile.
    """
    parts, form = wanted.parts(), wanted.form
    ours = folder_names(parts)
    with new_folder(target, overwrite=wanted.overwrite, mark=SUMMARY, ours=ours) as folder, read_only():
        began = monotonic()
        time, snapshot = prepare()
        totals = {part.name: part.queryset.count() for part in parts}
        with meter.of(sum(totals.values())):
            files = {part.name: _write(part, folder, form, meter, stop) for part in parts}
        seconds = round(monotonic() - began, 3)
        summary = Summary(time, seconds, snapshot, form, files, applied_migrations(), wanted.as_told())
        summary.write(folder)
    return summary


def _write(part: Part, folder: Path, form: Form, meter: Meter, stop: Event) -> Written:
    name = form.file_name(part.name)

    def told(rows: int, size: int) -> None:
        meter.advance(name, rows, size)
        if stop.is_set():
            raise Interrupted("Interrupted: nothing was exported.")

    with copied_rows(part.queryset, part.columns) as pieces:
        return write_rows(folder / name, form, pieces, told)


def folder_names(parts: Sequence[Part]) -> set[str]:
    """Every file that an export of these parts may hold."""
    return {SUMMARY, *(form.file_name(part.name) for part in parts for form in every_form())}
