"""The ways to write all cards as JSON that ``bench.export`` compares: ``NAME FILE``, DATABASE_URL set."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

# As ops.sql.copy_out says it: the order of the rows and the columns included.
COLUMNS = (
    "id, card_id, title, description, image, thumbnail, rarity, rarity_v2, pack_id, tags, metadata,"
    " created_at, updated_at"
)
LIMIT = (
    f"COPY (SELECT row_to_json(c) FROM (SELECT {COLUMNS} FROM cards ORDER BY id) c)"  # noqa: S608
    " TO STDOUT (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')"
)
_BLOCK = 1 << 20


def psycopg_copy() -> Iterator[Any]:
    import psycopg

    with (
        psycopg.connect(os.environ["DATABASE_URL"]) as connection,
        connection.cursor() as cursor,
        cursor.copy(LIMIT) as copy,
    ):
        yield from copy


def iterator_orjson() -> Iterator[Any]:
    import orjson

    for row in _cards().values().iterator():
        yield orjson.dumps(row) + b"\n"


def iterator_json() -> Iterator[Any]:
    for row in _cards().values().iterator():
        yield json.dumps(row, default=str).encode() + b"\n"


def instances() -> Iterator[Any]:
    from django.forms.models import model_to_dict

    for card in _cards().iterator():
        times = {"created_at": card.created_at, "updated_at": card.updated_at}
        yield json.dumps({**model_to_dict(card), **times}, default=str).encode() + b"\n"


def _cards() -> Any:
    import django

    django.setup()
    from cards.models import Card

    return Card.objects.order_by("pk")


WAYS: dict[str, Callable[[], Iterator[Any]]] = {
    "psycopg": psycopg_copy,
    "orjson": iterator_orjson,
    "json": iterator_json,
    "instances": instances,
}


def main() -> None:
    name, path = sys.argv[1:]
    with open(path, "wb", buffering=_BLOCK) as file:
        for piece in WAYS[name]():
            file.write(piece)


if __name__ == "__main__":
    main()
