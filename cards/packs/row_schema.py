"""The schema of a pack's rows: the columns, how keys map to them, and the conversion of a row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.db import models

from cards.packs.errors import BadValue
from cards.packs.values import Converter, converter_for, normalize_nfc, to_json
from ops.formatting import quote_truncated, to_camel_case, truncate
from ops.json_reader import DuplicateKey

METADATA = "metadata"
_MAX_LISTED_CHOICES = 20
Row = dict[str, Any]


@dataclass(frozen=True)
class RowSchema:
    """How the rows of one model are given in a pack. Keys without a column go to metadata.

    ``list_keys``: the keys of the lists that contain the rows.
    ``required``: columns that a new row must have.
    ``aliases``: other names of columns, in snake_case.
    ``fallbacks``: names that are used for a column only in rows that do not give it otherwise.
    ``prepare`` maps a raw row to another before the conversion; ``postprocess`` changes a converted row in
    place, and gets the raw row too.
    ``defaults`` returns the values that the top level of a pack gives for all its rows.
    ``extra_columns``: columns of the staging table that the model does not have, with their converters.
    ``insert_only``: columns that existing rows keep.
    ``unique_columns``: columns besides the key whose values must be unique, with their names in messages.
    ``origin_column``: the column whose value rows keep in metadata.
    ``nests_conflicts``: if a key is given in metadata and beside it, keep both, metadata's one level deeper.
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
    """Convert a raw row of JSON or CSV to the values of a staged row."""

    def __init__(self, schema: RowSchema) -> None:
        self._schema = schema
        fields = [(name, schema.model._meta.get_field(name)) for name in schema.columns]
        self._converters = {name: converter_for(f) for name, f in fields}  # type: ignore[arg-type]
        self._converters.update({**schema.converters, **schema.extra_columns})
        self._names = (*schema.columns, *schema.extra_columns)
        self._column_of = lru_cache(maxsize=1024)(self._find_column)

    def read(self, raw: Any, top: Row) -> list[Any]:
        """Return the values of the columns and extra columns, None if missing; raises BadValue."""
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
            metadata = row.get(METADATA, {})
            row[METADATA] = _metadata_json(
                *(_nest_conflicts(metadata, rest) if self._schema.nests_conflicts else (metadata, rest))
            )
        return [row.get(name) for name in self._names]

    def _split_columns(self, raw: Row) -> tuple[Row, Row]:
        """Return the converted columns, and the rest for metadata; null counts as missing."""
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


def _metadata_json(metadata: Row, rest: Row) -> str:
    """Merge metadata and the keys without a column, as JSON; raises BadValue for conflicts."""
    if duplicates := [name for name in rest if name in metadata and metadata[name] != rest[name]]:
        raise BadValue(
            f"{truncate(duplicates[0])} is given twice: in metadata, and beside it with another value"
        )
    try:
        return to_json({**metadata, **rest} if rest else metadata)
    except BadValue as exc:
        raise BadValue(f"metadata {exc}") from exc


def _nest_conflicts(metadata: Row, rest: Row) -> tuple[Row, Row]:
    """Resolve conflicts of metadata and ``rest``: drop a null of ``rest``, else nest metadata's value."""
    conflicts = [name for name in rest if name in metadata and metadata[name] != rest[name]]
    rest = {name: value for name, value in rest.items() if name not in conflicts or value is not None}
    nested = {name: metadata[name] for name in conflicts if name in rest}
    if not nested:
        return metadata, rest
    merged = {name: value for name, value in metadata.items() if name not in nested and name != METADATA}
    if METADATA in metadata:
        nested[METADATA] = metadata[METADATA]
    return {**merged, METADATA: nested}, rest


def choice_converter(choices: Iterable[str], plural: str) -> Converter:
    """Return a converter that accepts only ``choices``, in any Unicode form; ``plural`` names them."""
    names = list(choices)
    allowed = {normalize_nfc(name): name for name in names} | {name: name for name in names}
    listed = ", ".join(map(truncate, names[:_MAX_LISTED_CHOICES])) + (
        f" and {len(names) - _MAX_LISTED_CHOICES} more" * (len(names) > _MAX_LISTED_CHOICES)
    )

    def convert(value: Any) -> str:
        match = allowed.get(value) or allowed.get(normalize_nfc(value)) if isinstance(value, str) else None
        if match is None:
            shown = quote_truncated(value) if isinstance(value, str) else truncate(str(value))
            raise BadValue(f"{shown} is unknown; the {plural} are {listed}")
        return match

    return convert
