"""Which columns a kind of pack can give, and how the keys of its rows are spelt."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.db import models

from cards.packs.errors import BadValue
from cards.packs.values import Converter, converter_for, normalize_nfc, to_json
from ops.formatting import quote_truncated, truncate
from ops.json_reader import DuplicateKey

METADATA = "metadata"
_MAX_LISTED_CHOICES = 20
Row = dict[str, Any]


@dataclass(frozen=True)
class RowSchema:
    """The rows of one model in a pack.

    ``aliases`` are other names of columns, in snake_case; ``fallbacks`` names that stand for a column only in
    rows that do not give it otherwise. ``needed`` is what a new row cannot be without.
    ``defaults`` is what the top of a pack says for all its rows, ``finish`` mends a row whose values are
    converted, and is given the raw row too. What has no column goes to metadata.

    ``extra`` are columns of the staging that the model does not have, with their converters; ``prepare``
    turns a raw row into another, and ``once`` names the columns that only new rows take from the file. Of
    ``distinct`` columns, beside the key, no two rows give the same value; they have words for them. Rows keep
    what the column ``origin`` says in metadata, under the same word. Where
    ``displaces`` holds, a key that metadata gives too keeps both values: metadata's goes one level deeper.
    """

    model: type[models.Model]
    key: str
    columns: tuple[str, ...]
    list_keys: tuple[str, ...]
    required: tuple[str, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)
    fallbacks: Mapping[str, str] = field(default_factory=dict)
    converters: Mapping[str, Converter] = field(default_factory=dict)
    defaults: Callable[[Row], Row] = lambda top: {}
    postprocess: Callable[[Row, Row], None] = lambda row, raw: None
    extra_columns: Mapping[str, Converter] = field(default_factory=dict)
    prepare: Callable[[Row], Row] = lambda raw: raw
    insert_only: frozenset[str] = frozenset()
    unique_columns: Mapping[str, str] = field(default_factory=dict)
    origin_column: str = ""
    nests_conflicts: bool = False
    may_be_empty: bool = False


class RowReader:
    """From a raw row, as JSON or CSV gave it, to the values of a staged row."""

    def __init__(self, layout: RowSchema) -> None:
        self._schema = layout
        fields = [(name, layout.model._meta.get_field(name)) for name in layout.columns]
        self._converters = {name: converter_for(f) for name, f in fields}  # type: ignore[arg-type]
        self._converters.update({**layout.converters, **layout.extra_columns})
        self._names = (*layout.columns, *layout.extra_columns)
        self._column_of = lru_cache(maxsize=1024)(self._find_column)

    def read(self, raw: Any, top: Row) -> list[Any]:
        """The values of the layout's columns and its extra, None where not given; raises ``BadValue``."""
        if isinstance(raw, BadValue):
            raise raw
        if isinstance(raw, DuplicateKey):
            raise BadValue(f'gives "{truncate(raw.key)}" twice')
        if not isinstance(raw, dict):
            raise BadValue("is not an object")
        row, rest = self._split_columns(self._schema.prepare(raw))
        if self._schema.key not in row:
            raise BadValue(f"{to_camel_case(self._schema.key)} is missing")
        for name, value in self._schema.defaults(top).items():
            row.setdefault(name, value)
        self._schema.postprocess(row, raw)
        if rest or METADATA in row:
            given = row.get(METADATA, {})
            row[METADATA] = _metadata_json(
                *(_nest_conflicts(given, rest) if self._schema.nests_conflicts else (given, rest))
            )
        return [row.get(name) for name in self._names]

    def _split_columns(self, raw: Row) -> tuple[Row, Row]:
        """What goes to columns, converted, and what goes to metadata; null is a value that is not given."""
        row: Row = {}
        rest: Row = {}
        for name, value in raw.items():
            column = self._column_of(name)
            if column is None:
                rest[name] = value
            elif column in row:
                raise BadValue(f"{to_camel_case(column)} is given twice, the second time as {truncate(name)}")
            elif value is not None:
                row[column] = self._convert(column, value)
        for name, column in self._schema.fallbacks.items():
            if column not in row and rest.get(name) is not None:
                row[column] = self._convert(column, rest.pop(name))
        return row, rest

    def _convert(self, column: str, value: Any) -> Any:
        try:
            return self._converters[column](value)
        except BadValue as exc:
            raise BadValue(f"{to_camel_case(column)} {exc}") from exc

    def _find_column(self, name: str) -> str | None:
        snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[\s-]+", "_", name.strip()).lower()
        column = self._schema.aliases.get(snake, snake)
        return column if column in self._names else None


def _metadata_json(given: Row, rest: Row) -> str:
    """Metadata with what has no column of its own, as JSON."""
    if doubled := [name for name in rest if name in given and given[name] != rest[name]]:
        raise BadValue(
            f"{truncate(doubled[0])} is given twice: in metadata, and beside it with another value"
        )
    try:
        return to_json({**given, **rest} if rest else given)
    except BadValue as exc:
        raise BadValue(f"metadata {exc}") from exc


def _nest_conflicts(given: Row, rest: Row) -> tuple[Row, Row]:
    """Metadata and what has no column, without a key that both give: null yields, else both are kept."""
    doubled = [name for name in rest if name in given and given[name] != rest[name]]
    rest = {name: value for name, value in rest.items() if name not in doubled or value is not None}
    deeper = {name: given[name] for name in doubled if name in rest}
    if not deeper:
        return given, rest
    kept = {name: value for name, value in given.items() if name not in deeper and name != METADATA}
    if METADATA in given:
        deeper[METADATA] = given[METADATA]
    return {**kept, METADATA: deeper}, rest


def to_camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def choice_converter(known: Iterable[str], what: str) -> Converter:
    """A converter that lets only known names pass."""
    names = list(known)
    allowed = {normalize_nfc(name): name for name in names} | {name: name for name in names}
    listed = ", ".join(map(truncate, names[:_MAX_LISTED_CHOICES])) + (
        f" and {len(names) - _MAX_LISTED_CHOICES} more" * (len(names) > _MAX_LISTED_CHOICES)
    )

    def convert(value: Any) -> str:
        found = allowed.get(value) or allowed.get(normalize_nfc(value)) if isinstance(value, str) else None
        if found is None:
            shown = quote_truncated(value) if isinstance(value, str) else truncate(str(value))
            raise BadValue(f"{shown} is unknown; the {what} are {listed}")
        return found

    return convert
