"""A pack on its way into the catalogue: read, staged, checked, then previewed or merged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from cards.packs.errors import MAX_REPORTED_ROWS, BadRows, BadValue, InvalidPack
from cards.packs.progress import iter_with_progress
from cards.packs.reasons import fault_reasons
from cards.packs.row_schema import METADATA, Row, RowReader, RowSchema, to_camel_case
from cards.packs.source import Source
from cards.triggers import ignore_rarity_triggers
from ops.bulk_load import UpdateContext
from ops.formatting import truncate
from ops.report.status import StatusCallback
from ops.sql.staging import RejectedRow, StagingTable
from ops.sql.upsert import Upsert
from ops.sql.violations import ViolationFinder

_MAX_REASON_LENGTH = 300
# Of two rarities a trigger would copy the one that changed over the other, though both are given.
EXPLICIT_RARITY_V2 = UpdateContext("rarity_v2", ignore_rarity_triggers)


@contextmanager
def stage_rows(source: Source, layout: RowSchema, say: StatusCallback) -> Iterator[Upsert]:
    """All rows of a source, ready to be merged; raises ``RefusedPack`` if one of them is bad."""
    with fill_staging(source, layout, say) as (staging, bad):
        say("Comparing with what is there")
        merge = Upsert(staging, layout.key, merged_json=frozenset({METADATA}), insert_only=layout.insert_only)
        merge.normalize_keys()
        _apply_pack_defaults(merge, source, layout)
        _check_pack(merge, source, layout, bad)
        yield merge


@contextmanager
def fill_staging(
    source: Source, layout: RowSchema, say: StatusCallback
) -> Iterator[tuple[StagingTable, BadRows]]:
    """The rows of a source that can be read, and those that cannot."""
    bad = BadRows()
    with StagingTable(layout.model, layout.columns, tuple(layout.extra_columns)) as staging:
        try:
            staging.copy_in(
                _iter_values(iter_with_progress(source, say), source.top_level, RowReader(layout), bad)
            )
        except RejectedRow as exc:
            raise InvalidPack(
                f"Nothing was loaded.\n  {_refused_row_label(source, layout, exc)}  {exc}"
            ) from exc
        yield staging, bad


def _iter_values(
    raws: Iterable[tuple[int, Any]], top: Row, reader: RowReader, bad: BadRows
) -> Iterator[list[Any]]:
    for place, raw in raws:
        try:
            values = reader.read(raw, top)
        except BadValue as exc:
            bad.add(place, str(exc))
        else:
            yield [place, *values]


def _refused_row_label(source: Source, layout: RowSchema, refused: RejectedRow) -> str:
    """The place of a row that the database counted: read again, since no place is kept for each row."""
    rows = _iter_values(source, source.top_level, RowReader(layout), BadRows())
    place, *_ = next(islice(rows, refused.row_number - 1, None))
    return source.row_label(place)


def _apply_pack_defaults(merge: Upsert, source: Source, layout: RowSchema) -> None:
    """What the top of the pack says, where it says so after its rows."""
    for name, value in layout.defaults(source.top_level).items():
        merge.staging.set_default(name, value)


def _check_pack(merge: Upsert, source: Source, layout: RowSchema, bad: BadRows) -> None:
    check_rows(merge.staging, source, layout, bad, key=layout.key)
    if not merge.staging.row_count and not layout.may_be_empty:
        raise InvalidPack("it has no rows.")


def check_rows(
    staging: StagingTable, source: Source, layout: RowSchema, bad: BadRows, *, key: str | None
) -> None:
    """Raise ``RefusedPack`` for the bad rows, and those that the table would refuse; ``key`` matches rows."""
    faults = ViolationFinder(staging, key)
    if key:
        faults.check_duplicates(str(staging.get_field(key).column), to_camel_case(key))
    for name, told in layout.unique_columns.items():
        faults.check_duplicates(name, told)
    if key and layout.origin_column:
        faults.check_renamed_keys(layout.origin_column, METADATA, layout.unique_columns[layout.origin_column])
    for name in layout.required:
        faults.check_required(name)
    faults.check_constraints()
    faults.check_unique()
    found, total = faults.find(MAX_REPORTED_ROWS)
    bad.extend(fault_reasons(found, source, layout), total)
    raise_for_bad_rows(source, bad)


def raise_for_bad_rows(source: Source, bad: BadRows) -> None:
    """Raise ``RefusedPack`` with the first bad rows, if there are any."""
    if bad.total:
        raise InvalidPack(_bad_rows_message(source, bad))


def _bad_rows_message(source: Source, bad: BadRows) -> str:
    first = [(source.row_label(place), reason) for place, reason in bad.first_reported()]
    width = max(len(where) for where, _ in first)
    lines = [f"  {where:<{width}}  {truncate(reason, _MAX_REASON_LENGTH)}" for where, reason in first]
    if bad.total > len(first):
        lines.append(f"  … and {bad.total - len(first):,} more")
    rows = "1 bad row" if bad.total == 1 else f"{bad.total:,} bad rows"
    return "\n".join([f"{rows}. Nothing was loaded.", *lines])
