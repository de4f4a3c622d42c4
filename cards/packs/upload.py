"""Read a pack that a person uploads, for the change set that is staged from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from cards.packs.catalogue import card_schema
from cards.packs.illustrations import Illustrations
from cards.packs.loading import stage_rows
from cards.packs.source import Source, open_source
from ops.uploads.staging import ReadFile, RowCallback

# A page lists them; a person who has more of them looks for one reason.
_MAX_REPORTED_ROWS = 1_000
_ROWS_PER_CALL = 1_000


@contextmanager
def read_upload(path: Path, name: str, on_row: RowCallback, limit: int | None = None) -> Iterator[ReadFile]:
    """Stage all rows of the file, or the first so many, for an upsert.

    Raises InvalidPack, NoPresentationRules, and what ``on_row`` raises.

    Pictures are not uploaded with a pack, so no file lies beside it.
    """
    illustrations = Illustrations(path.parent / "no illustrations")
    schema = card_schema(illustrations)
    with (
        open_source(path, schema.list_keys, name) as source,
        stage_rows(
            _CountedSource(source, on_row, limit), schema, _show_nothing, _MAX_REPORTED_ROWS
        ) as upsert,
    ):
        count = source.top_level.get("count")
        remarks = (
            [f"The pack says that it has {count} cards."] if _differs(count, upsert.staging.row_count) else []
        )
        yield ReadFile(upsert, [*remarks, *_list_picture_remarks(illustrations)])


def _show_nothing(text: str) -> None:
    pass


def _differs(count: Any, rows: int) -> bool:
    return type(count) is int and count != rows


def _list_picture_remarks(illustrations: Illustrations) -> list[str]:
    if not illustrations.count_missing():
        return []
    return [
        f"{illustrations.count_missing():,} cards name a picture that is a file beside the pack. Pictures are"
        " not uploaded with a pack: the name is stored as it is. Upload each picture on the page of its card."
    ]


class _CountedSource:
    """A source that tells how many of its rows were read."""

    def __init__(self, source: Source, on_row: RowCallback, limit: int | None) -> None:
        self._source, self._on_row, self._limit = source, on_row, limit
        self.path, self.top_level = source.path, source.top_level

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        for number, row in enumerate(islice(self._source, self._limit)):
            if number % _ROWS_PER_CALL == 0:
                self._on_row(number)
            yield row

    def row_label(self, position: int) -> str:
        return self._source.row_label(position)
