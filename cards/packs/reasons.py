"""Why the rows of a pack are bad, in words: what the database would refuse, told before it is asked to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from django.db import models

from cards.packs.layout import Layout, camel
from cards.packs.source import Source
from ops.sql.faults import Fault, Kind
from ops.words import cut, quoted


def reasons(faults: Iterable[Fault], source: Source, layout: Layout) -> list[tuple[int, str]]:
    """``(place, reason)`` of each row, all its faults in one; the faults stand in the rows' order."""
    rows = groupby(faults, lambda fault: fault.place)
    return [(place, "; ".join(_told(list(found), source, layout))) for place, found in rows]


def _told(faults: list[Fault], source: Source, layout: Layout) -> Iterator[str]:
    for kind, found in groupby(faults, lambda fault: fault.kind):
        match kind:
            case Kind.LACKING:
                yield _lacking(list(found))
            case Kind.TWICE:
                yield from (_twice(fault, source) for fault in found)
            case Kind.RENAMED:
                yield from (_renamed(fault, layout) for fault in found)
            case Kind.BROKEN:
                yield from (_broken(fault, layout) for fault in found)
            case Kind.TAKEN:
                yield from (_taken(fault) for fault in found)


def _lacking(faults: list[Fault]) -> str:
    names = [camel(fault.about) for fault in faults]
    missing = f"{', '.join(names[:-1])} and {names[-1]} are" if len(names) > 1 else f"{names[0]} is"
    key = faults[0].key
    return f"{missing} missing, and {quoted(key)} is a new row" if key else f"{missing} missing"


def _twice(fault: Fault, source: Source) -> str:
    return (
        f"{fault.about} {quoted(str(fault.value))} was given before, in {source.where(int(fault.other or 0))}"
    )


def _renamed(fault: Fault, layout: Layout) -> str:
    name, known = camel(layout.key), f"{fault.about} {quoted(str(fault.value))}"
    old, new = quoted(str(fault.other)), quoted(str(fault.key))
    return f"{name} {new} would be a second row of {known}, which is {old} here: give that one the name {new}"


def _broken(fault: Fault, layout: Layout) -> str:
    known = {constraint.name: constraint for constraint in layout.model._meta.constraints}
    constraint, value = known.get(fault.about), quoted(str(fault.value))
    if isinstance(constraint, models.CheckConstraint):
        return f"{value} breaks {fault.about}: {constraint.violation_error_message}"
    return f'{value} breaks the constraint "{cut(fault.about)}": {cut(str(fault.other), 200)}'


def _taken(fault: Fault) -> str:
    names = ", ".join(camel(name) for name in fault.about.split(", "))
    return f"{names} {cut(str(fault.value))} is already that of {quoted(str(fault.other))}"
