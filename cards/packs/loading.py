"""Staging of a pack: its rows are read, copied to a temporary table, and checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from cards.packs.errors import MAX_REPORTED_ROWS, BadRows, BadValue, InvalidPack
from cards.packs.progress import iter_with_progress
from cards.packs.reasons import fault_reasons
from cards.packs.row_schema import METADATA, Row, RowReader, RowSchema
from cards.packs.source import Source
from ops.bulk_load import UpdateContext
from ops.formatting import to_camel_case, truncate
from ops.report.status import StatusCallback
from ops.sql.dual_write import dual_writes_off
from ops.sql.staging import RejectedRow, StagingTable
from ops.sql.upsert import Upsert
from ops.sql.violations import ViolationFinder

_MAX_REASON_LENGTH = 300
# If a pack gives both rarities, dual writes must not copy one over the other.
EXPLICIT_RARITY_V2 = UpdateContext("rarity_v2", dual_writes_off)


@contextmanager
def stage_rows(
    source: Source, schema: RowSchema, show_status: StatusCallback, max_reported: int = MAX_REPORTED_ROWS
) -> Iterator[Upsert]:
    """Stage all rows of a source for an upsert; raises InvalidPack if one of them is bad.

    Its message names at most ``max_reported`` bad rows.
    """
    with fill_staging(source, schema, show_status, max_reported) as (staging, bad):
        show_status("Comparing with existing rows")
        upsert = Upsert(
            staging, schema.key, merged_json=frozenset({METADATA}), insert_only=schema.insert_only
        )
        upsert.normalize_keys()
        _apply_pack_defaults(upsert, source, schema)
        _check_pack(upsert, source, schema, bad)
        yield upsert


@contextmanager
def fill_staging(
    source: Source, schema: RowSchema, show_status: StatusCallback, max_reported: int = MAX_REPORTED_ROWS
) -> Iterator[tuple[StagingTable, BadRows]]:
    """Stage the rows that can be parsed; yield the staging table and the other rows."""
    bad = BadRows(max_reported)
    with StagingTable(schema.model, schema.columns, tuple(schema.extra_columns)) as staging:
        try:
            staging.copy_in(
                _iter_values(
                    iter_with_progress(source, show_status), source.top_level, RowReader(schema), bad
                )
            )
        except RejectedRow as exc:
            raise InvalidPack(
                f"Nothing was loaded.\n  {_refused_row_label(source, schema, exc)}  {exc}"
            ) from exc
        yield staging, bad


def _iter_values(
    raws: Iterable[tuple[int, Any]], top: Row, reader: RowReader, bad: BadRows
) -> Iterator[list[Any]]:
    for position, raw in raws:
        try:
            values = reader.read(raw, top)
        except BadValue as exc:
            bad.add(position, str(exc))
        else:
            yield [position, *values]


def _refused_row_label(source: Source, schema: RowSchema, refused: RejectedRow) -> str:
    """Return the label of a row by its number: the source is read again, since positions are not stored."""
    rows = _iter_values(source, source.top_level, RowReader(schema), BadRows())
    position, *_ = next(islice(rows, refused.row_number - 1, None))
    return source.row_label(position)


def _apply_pack_defaults(upsert: Upsert, source: Source, schema: RowSchema) -> None:
    """Apply the defaults that the pack gives after its rows."""
    for name, value in schema.defaults(source.top_level).items():
        upsert.staging.set_default(name, value)


def _check_pack(upsert: Upsert, source: Source, schema: RowSchema, bad: BadRows) -> None:
    check_rows(upsert.staging, source, schema, bad, key=schema.key)
    if not upsert.staging.row_count and not schema.may_be_empty:
        raise InvalidPack("it has no rows.")


def check_rows(
    staging: StagingTable, source: Source, schema: RowSchema, bad: BadRows, *, key: str | None
) -> None:
    """Raise InvalidPack for ``bad`` and for rows that violate a constraint; ``key`` matches existing rows."""
    faults = ViolationFinder(staging, key)
    if key:
        faults.check_duplicates(str(staging.get_field(key).column), to_camel_case(key))
    for name, label in schema.unique_columns.items():
        faults.check_duplicates(name, label)
    if key and schema.origin_column:
        faults.check_renamed_keys(schema.origin_column, METADATA, schema.unique_columns[schema.origin_column])
    for name in schema.required:
        faults.check_required(name)
    faults.check_constraints()
    faults.check_unique()
    violations, total = faults.find(bad.limit)
    bad.extend(fault_reasons(violations, source, schema), total)
    raise_for_bad_rows(source, bad)


def raise_for_bad_rows(source: Source, bad: BadRows) -> None:
    """Raise InvalidPack with the first bad rows, if there are any."""
    if bad.total:
        raise InvalidPack(_bad_rows_message(source, bad))


def _bad_rows_message(source: Source, bad: BadRows) -> str:
    reported = [(source.row_label(position), reason) for position, reason in bad.first_reported()]
    width = max(len(row_label) for row_label, _ in reported)
    lines = [
        f"  {row_label:<{width}}  {truncate(reason, _MAX_REASON_LENGTH)}" for row_label, reason in reported
    ]
    if bad.total > len(reported):
        lines.append(f"  … and {bad.total - len(reported):,} more")
    rows = "1 bad row" if bad.total == 1 else f"{bad.total:,} bad rows"
    return "\n".join([f"{rows}. Nothing was loaded.", *lines])
