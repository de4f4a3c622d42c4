"""A pack on its way into the catalogue: read, staged, checked, then previewed or merged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from cards.packs.errors import SHOWN, BadRows, BadValue, RefusedPack
from cards.packs.layout import METADATA, Layout, Row, RowReader, camel
from cards.packs.progress import counted
from cards.packs.reasons import reasons
from cards.packs.source import Source
from cards.triggers import as_they_were
from ops import words
from ops.report.status import Say
from ops.sql.faults import Faults
from ops.sql.merge import Merge
from ops.sql.staging import RefusedRow, Staging
from ops.upsert import Settled

_LONGEST_REASON = 300
# Of two rarities a trigger would copy the one that changed over the other, though both are given.
both_rarities = Settled("rarity_v2", as_they_were)


@contextmanager
def staged(source: Source, layout: Layout, say: Say) -> Iterator[Merge]:
    """All rows of a source, ready to be merged; raises ``RefusedPack`` if one of them is bad."""
    with filled(source, layout, say) as (staging, bad):
        say("Comparing with what is there")
        merge = Merge(staging, layout.key, overlaid=frozenset({METADATA}), once=layout.once)
        merge.spell_as_stored()
        _complete(merge, source, layout)
        _check(merge, source, layout, bad)
        yield merge


@contextmanager
def filled(source: Source, layout: Layout, say: Say) -> Iterator[tuple[Staging, BadRows]]:
    """The rows of a source that can be read, and those that cannot."""
    bad = BadRows()
    with Staging(layout.model, layout.columns, tuple(layout.extra)) as staging:
        try:
            staging.fill(_rows(counted(source, say), source.top, RowReader(layout), bad))
        except RefusedRow as exc:
            raise RefusedPack(f"Nothing was loaded.\n  {_where(source, layout, exc)}  {exc}") from exc
        yield staging, bad


def _rows(raws: Iterable[tuple[int, Any]], top: Row, reader: RowReader, bad: BadRows) -> Iterator[list[Any]]:
    for place, raw in raws:
        try:
            values = reader.read(raw, top)
        except BadValue as exc:
            bad.add(place, str(exc))
        else:
            yield [place, *values]


def _where(source: Source, layout: Layout, refused: RefusedRow) -> str:
    """The place of a row that the database counted: read again, since no place is kept for each row."""
    rows = _rows(source, source.top, RowReader(layout), BadRows())
    place, *_ = next(islice(rows, refused.number - 1, None))
    return source.where(place)


def _complete(merge: Merge, source: Source, layout: Layout) -> None:
    """What the top of the pack says, where it says so after its rows."""
    for name, value in layout.defaults(source.top).items():
        merge.staging.default(name, value)


def _check(merge: Merge, source: Source, layout: Layout, bad: BadRows) -> None:
    check(merge.staging, source, layout, bad, key=layout.key)
    if not merge.staging.total and not layout.may_be_empty:
        raise RefusedPack("it has no rows.")


def check(staging: Staging, source: Source, layout: Layout, bad: BadRows, *, key: str | None) -> None:
    """Raise ``RefusedPack`` for the bad rows, and those that the table would refuse; ``key`` matches rows."""
    faults = Faults(staging, key)
    if key:
        faults.twice(str(staging.field(key).column), camel(key))
    for name, told in layout.distinct.items():
        faults.twice(name, told)
    if key and layout.origin:
        faults.renamed(layout.origin, METADATA, layout.distinct[layout.origin])
    for name in layout.needed:
        faults.lacking(name)
    faults.broken()
    faults.taken()
    found, total = faults.find(SHOWN)
    bad.extend(reasons(found, source, layout), total)
    refuse(source, bad)


def refuse(source: Source, bad: BadRows) -> None:
    """Raise ``RefusedPack`` with the first bad rows, if there are any."""
    if bad.total:
        raise RefusedPack(_refusal(source, bad))


def _refusal(source: Source, bad: BadRows) -> str:
    first = [(source.where(place), reason) for place, reason in bad.first()]
    width = max(len(where) for where, _ in first)
    lines = [f"  {where:<{width}}  {words.cut(reason, _LONGEST_REASON)}" for where, reason in first]
    if bad.total > len(first):
        lines.append(f"  … and {bad.total - len(first):,} more")
    rows = "1 bad row" if bad.total == 1 else f"{bad.total:,} bad rows"
    return "\n".join([f"{rows}. Nothing was loaded.", *lines])
